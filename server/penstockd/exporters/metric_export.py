"""Sends metrics over OTLP, and counts how often that fails."""

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData


class CountedMetricExporter(OTLPMetricExporter):
    """Exports as the standard OTEL_* variables say; `dropped` counts the exports that did not arrive."""

    def __init__(self, *, timeout: float) -> None:
        """Let one export take `timeout` seconds."""
        # The SDK would look for the provider that OTEL_PYTHON_METER_PROVIDER names, and raise where there is none.
        super().__init__(timeout=timeout, meter_provider=NoOpMeterProvider())
        self.dropped = 0

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: object
    ) -> MetricExportResult:
        """Deliver `metrics_data`, or say that it is lost."""
        result = MetricExportResult.FAILURE
        try:
            result = super().export(metrics_data, timeout_millis, **kwargs)
        finally:
            if result is not MetricExportResult.SUCCESS:
                self.dropped += 1
        return result
