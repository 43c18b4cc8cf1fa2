"""What goes wrong with an answer that comes whole, or should."""

from collections.abc import Callable
from typing import Final

from fakes.faults import BEFORE_ANY_BODY, BOMBS, TEXT, WHOLE, Fault, Steps, dripped, endless_body, hangs, says
from fakes.providers import Kind
from fakes.upstream import CLOSE, HANG, RESET, Script, Step, head, response


def whole(body: Callable[[Kind], bytes]) -> Steps:
    """A response with its length before it."""
    return lambda kind: (response(body(kind)),)


def answer(kind: Kind) -> bytes:
    """The body of a good answer."""
    return kind.answer(TEXT, kind.usage)


def begun(kind: Kind, *after: Step) -> Script:
    """Half of an answer whose length was given, then something else."""
    body = answer(kind)
    return (response(body)[: -len(body) // 2], *after)


ANSWERS: Final = (
    *BEFORE_ANY_BODY,
    hangs("hangs after its headers", says(head(content_type="application/json", content_length="500"), HANG)),
    hangs("hangs in its body", lambda kind: begun(kind, HANG)),
    hangs("drips too slowly", lambda kind: dripped(response(answer(kind)), 0.05)),
    Fault(name="resets in its body", steps=lambda kind: begun(kind, RESET)),
    Fault(name="closes in its body", steps=lambda kind: begun(kind, CLOSE)),
    Fault(name="never ends its body", steps=lambda kind: endless_body("application/json")),
    Fault(name="sends bad JSON", steps=whole(lambda kind: answer(kind)[:-1] + b",}")),
    Fault(name="sends other JSON", steps=whole(lambda kind: b'["what", {"is": "this"}]')),
    Fault(name="sends deep JSON", steps=whole(lambda kind: b"[" * 100_000)),
    Fault(name="sends an empty body", steps=whole(lambda kind: b"")),
    Fault(name="sends what is not UTF-8", steps=whole(lambda kind: answer(kind).replace(b"Once", b"\xc3\x28ce"))),
    Fault(name="sends a NUL in its JSON", steps=whole(lambda kind: answer(kind).replace(b"Once", b"On\0e"))),
    Fault(name="sends an error with 200", steps=whole(lambda kind: b'{"error": {"type": "api_error", "message": ""}}')),
    Fault(name="is a gzip bomb", steps=says(BOMBS["application/json"])),
    Fault(name="drips", steps=lambda kind: dripped(response(answer(kind)), 0), ending=WHOLE),
)
