"""Sends spans by OTLP, encoded in a third of the time that the SDK takes.

That is done in a thread beside the calls, which share the interpreter with it: a batch of the SDK's holds them up for
25 ms. The bytes are those of opentelemetry/proto/trace/v1/trace.proto; most of them are of attributes, and kept.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from struct import Struct

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags, Status
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode
from opentelemetry.trace import Status as SpanStatus
from opentelemetry.util.types import AnyValue as Value

SHORT = 28
"""Characters of a text that may be one of few, of which the encoded attribute is kept; ids are longer."""
LONGEST_KEY = 64
"""Characters of its name then."""


class OtlpSpans(OTLPSpanExporter):
    """The SDK's exporter with an encoder of its own; what is out of the ordinary is left to the SDK."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send `spans`, or say that they are lost."""
        data = None if self._shutdown else encoded(spans)
        if data is None or len(data) > self._max_request_size:
            return super().export(spans)
        sent = self._client.export(data)
        return SpanExportResult.SUCCESS if sent.success else SpanExportResult.FAILURE


def encoded(spans: Sequence[ReadableSpan]) -> bytes | None:
    """Return what the SDK makes of `spans`, which are all of one resource and scope; None where one says odd things."""
    try:
        # Whose they are is said by the SDK, around a first span that gives way to all of them.
        of_resource = encode_spans(spans[:1]).resource_spans[0]
        of_scope = of_resource.scope_spans[0]
        del of_scope.spans[:], of_resource.scope_spans[:]
        within = of_scope.SerializeToString() + b"".join([_field(b"\x12", _span(span)) for span in spans])
        return _field(b"\x0a", of_resource.SerializeToString() + _field(b"\x12", within))
    except Exception:  # noqa: BLE001 - an agent may have said anything
        return None


def _span(span: ReadableSpan) -> bytes:
    context, parent = span.context, span.parent
    return b"".join(
        (
            _IDS(0x0A, 16, context.trace_id.to_bytes(16), 0x12, 8, context.span_id.to_bytes(8)),
            _text(b"\x1a", context.trace_state.to_header()) if context.trace_state else b"",
            b"\x22\x08" + parent.span_id.to_bytes(8) if parent else b"",
            _name(b"\x2a", span.name),
            _TIMES(0x30, _KINDS[span.kind], 0x39, span.start_time or 0, 0x41, span.end_time or 0),
            _attributes(b"\x4a", span.attributes),
            _count(b"\x50", span.dropped_attributes),
            *[_field(b"\x5a", _event(event)) for event in span.events],
            _count(b"\x60", span.dropped_events),
            *[_field(b"\x6a", _link(link)) for link in span.links],
            _count(b"\x70", span.dropped_links),
            _field(b"\x7a", _status(span.status)),
            _FLAGS(0x85, 0x01, _flags(parent)),
        )
    )


def _event(event: Event) -> bytes:
    at, name = _TIME(0x09, event.timestamp), _name(b"\x12", event.name)
    return at + name + _attributes(b"\x1a", event.attributes) + _count(b"\x20", event.dropped_attributes)


def _link(link: Link) -> bytes:
    """One is rare."""
    message = Span.Link(
        trace_id=link.context.trace_id.to_bytes(16),
        span_id=link.context.span_id.to_bytes(8),
        dropped_attributes_count=link.dropped_attributes,
        flags=_flags(link.context),
    )
    return message.SerializeToString() + _attributes(b"\x22", link.attributes)


def _flags(context: SpanContext | None) -> int:
    """Whether what `context` names is known to be in another process."""
    return _KNOWN | _REMOTE if context and context.is_remote else _KNOWN


def _attributes(tag: bytes, attributes: Mapping[str, Value] | None) -> bytes:
    parts = []
    for key, value in attributes.items() if attributes else ():
        is_short = len(value) <= SHORT if isinstance(value, str) else type(value) in _WHOLE or _is_word(value)
        parts.append((_common if is_short and len(key) <= LONGEST_KEY else _tagged)(tag, key, value))
    return b"".join(parts)


def _is_word(value: Value) -> bool:
    """Whether it is a single short text, in a tuple as the reasons are for which a model finished."""
    return isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], str) and len(value[0]) <= SHORT


def _tagged(tag: bytes, key: str, value: Value) -> bytes:
    return _field(tag, _text(b"\x0a", key) + _field(b"\x12", _value(value)))


def _value(value: Value) -> bytes:
    """An AnyValue, in which a default is said as well."""
    match value:
        case str():
            return _field(b"\x0a", _utf8(value))
        case bool():
            return b"\x10\x01" if value else b"\x10\x00"
        case int() if 0 <= value < _TOO_LARGE:
            return b"\x18" + _varint(value)
        case int():
            return AnyValue(int_value=value).SerializeToString()
        case float():
            return AnyValue(double_value=value).SerializeToString()
        case tuple() if all(isinstance(text, str) for text in value):
            return _field(b"\x2a", b"".join([_field(b"\x0a", _value(text)) for text in value]))
    raise TypeError(value)


def _field(tag: bytes, data: bytes) -> bytes:
    """Bytes of a length: a text, or a message within another."""
    return tag + _varint(len(data)) + data


def _text(tag: bytes, text: str) -> bytes:
    """Empty for an empty one, as the default is."""
    return _field(tag, _utf8(text)) if text else b""


def _utf8(text: str) -> bytes:
    """Half a surrogate pair, which an agent may have cut a text to, is a question mark, and costs no other span."""
    return text.encode(errors="replace")


def _name(tag: bytes, name: str) -> bytes:
    return _common_text(tag, name) if len(name) <= SHORT else _text(tag, name)


def _count(tag: bytes, number: int) -> bytes:
    return tag + _varint(number) if number else b""


def _varint(number: int) -> bytes:
    """A number that is not negative, seven bits a byte, the lowest first."""
    if number < 0x80:
        return _BYTES[number]
    return bytes((number & 0x7F | 0x80,)) + _varint(number >> 7)


def _status(status: SpanStatus) -> bytes:
    if status.is_unset and not status.description:
        return b""
    description = _utf8(status.description or "").decode()
    return Status(code=_CODES[status.status_code], message=description).SerializeToString()


# Many spans have these alike.
_common = lru_cache(maxsize=2048, typed=True)(_tagged)
_common_text = lru_cache(maxsize=256)(_text)
_WHOLE = (int, bool)
_TOO_LARGE = 1 << 63
_BYTES = tuple(bytes((number,)) for number in range(0x80))
_IDS = Struct("BB16sBB8s").pack
_TIME = Struct("<BQ").pack
_TIMES = Struct("<BBBQBQ").pack
_FLAGS = Struct("<BBI").pack
_KNOWN, _REMOTE = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK, SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
_KINDS = {
    SpanKind.INTERNAL: Span.SPAN_KIND_INTERNAL,
    SpanKind.SERVER: Span.SPAN_KIND_SERVER,
    SpanKind.CLIENT: Span.SPAN_KIND_CLIENT,
}
_CODES = {
    StatusCode.UNSET: Status.STATUS_CODE_UNSET,
    StatusCode.OK: Status.STATUS_CODE_OK,
    StatusCode.ERROR: Status.STATUS_CODE_ERROR,
}
