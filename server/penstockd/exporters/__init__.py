"""Where metrics and spans go, by the standard OTEL_* variables."""
