"""What the daemon says, it says on one line."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from penstockd.logs.formats import JsonFormatter
from penstockd.logs.log import Log
from penstockd.logs.setup import set_level, write_logs_to

SWITCHES = ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing")
FILTERED = ("grpc._cython.cygrpc", "opentelemetry.util.re", "penstockd.test")


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    """Leave the process's logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    switches = {name: vars(logging)[name] for name in SWITCHES}
    yield
    root.handlers[:], root.level = handlers, level
    vars(logging).update(switches)
    for name in FILTERED:
        logging.getLogger(name).filters.clear()


def raised() -> ValueError:
    """An error with a traceback."""
    with pytest.raises(ValueError, match="what") as info:
        int("what")
    return info.value


def lines(stream: io.StringIO) -> list[str]:
    """What was written, once the log is closed."""
    for handler in logging.getLogger().handlers:
        handler.close()
    return stream.getvalue().splitlines()


def written(stream: io.StringIO, *, level: str = "INFO", style: str = "json") -> Log:
    """A log that writes to `stream`."""
    write_logs_to(stream, level=level, style=style)
    return Log("penstockd.test")


def test_a_line_is_one_flat_json_object() -> None:
    """Timestamp, level, service, message, then the fields."""
    stream = io.StringIO()

    written(stream).info("it\nhappened", model="a", count=3, nested={"k": [1]}, path=ValueError("odd"))

    (line,) = lines(stream)
    fields = json.loads(line)
    timestamp = fields.pop("timestamp")
    assert timestamp.endswith("Z")
    assert datetime.fromisoformat(timestamp).tzinfo is not None
    assert list(fields.items()) == [
        ("level", "INFO"),
        ("service", "penstockd"),
        ("message", "it\nhappened"),
        ("model", "a"),
        ("count", 3),
        ("nested", {"k": [1]}),
        ("path", "odd"),
    ]


def test_a_timestamp_is_the_millisecond_it_was() -> None:
    """Of 1767225600.461 the fraction alone is a hair less than 461 ms."""
    record = logging.makeLogRecord({"created": 1767225600.461, "msg": "said"})

    assert json.loads(JsonFormatter().format(record))["timestamp"] == "2026-01-01T00:00:00.461Z"


@pytest.mark.parametrize(("level", "heard"), [("INFO", "IWEX"), ("WARNING", "WEX"), ("ERROR", "EX")])
def test_the_level_decides_what_is_written(level: str, heard: str) -> None:
    """Everything from it upwards."""
    stream = io.StringIO()
    log = written(stream, level=level)

    log.info("I")
    log.warning("W")
    log.error("E")
    log.exception("X", error=ValueError())  # noqa: LOG004 - a log of ours

    assert "".join(json.loads(line)["message"] for line in lines(stream)) == heard


def test_an_exception_keeps_to_its_line() -> None:
    """The traceback is a field."""
    stream = io.StringIO()

    written(stream).exception("a call failed", raised(), request_id="r1")

    (line,) = lines(stream)
    fields = json.loads(line)
    assert (fields["level"], fields["request_id"]) == ("ERROR", "r1")
    assert "invalid literal" in fields["exception"]
    assert "Traceback" in fields["exception"]


def test_others_log_in_the_same_way() -> None:
    """A library's line has no fields, and is JSON all the same."""
    stream = io.StringIO()
    written(stream)

    logging.getLogger("aiohttp").warning("odd %s", "thing")

    assert json.loads(lines(stream)[0])["message"] == "odd thing"


@pytest.mark.parametrize(
    ("stream", "style", "is_pretty"),
    [
        (Terminal(), "auto", True),
        (io.StringIO(), "auto", False),
        (Terminal(), "json", False),
        (io.StringIO(), "pretty", True),
    ],
)
def test_a_terminal_is_written_to_for_eyes(stream: io.StringIO, style: str, *, is_pretty: bool) -> None:
    """Unless somebody says otherwise."""
    written(stream, style=style).info("serving", port=50051)

    (line,) = lines(stream)
    assert line.startswith("{") is not is_pretty
    assert line.endswith("serving  port=50051") is is_pretty


def test_a_line_for_eyes_is_one_line_whatever_callers_call_themselves() -> None:
    """Nor does it steer the terminal; what is plain stays as it is."""
    stream = io.StringIO()

    written(stream, style="pretty").info("call finished", subject="user:acme/u1\n\x1b[2J", rule="60/m requests")

    (line,) = lines(stream)
    assert line.endswith(r"subject='user:acme/u1\n\x1b[2J'  rule=60/m requests")


def test_nobody_adds_a_field_to_a_line_for_eyes() -> None:
    """What looks like the next one is quoted."""
    stream = io.StringIO()

    written(stream, style="pretty").info("call finished", subject="user:acme/u1  code=OK", code="UNAVAILABLE")

    (line,) = lines(stream)
    assert line.endswith("subject='user:acme/u1  code=OK'  code=UNAVAILABLE")


def test_a_line_of_json_does_nothing_to_a_terminal() -> None:
    """Nor looks like another: what is not printed is escaped, and is the same when it is read."""
    stream = io.StringIO()
    said = {"subject": "u\x9b2J\u202e\u2028\U000e0041\x7f ü 日本", "same": "日本"}

    written(stream).info("call finished", **said)

    (line,) = lines(stream)
    assert line.isprintable()
    assert json.loads(line).items() >= said.items()
    assert line.endswith(r'"subject":"u\u009b2J\u202e\u2028\udb40\udc41\u007f ü 日本","same":"日本"}')


def test_a_pretty_exception_has_its_traceback_below() -> None:
    """As Python prints it."""
    stream = io.StringIO()

    written(stream, style="pretty").exception("a call failed", raised())

    first, *_, last = lines(stream)
    assert first.endswith("ERROR   a call failed")
    assert last.startswith("ValueError: invalid literal")


def test_what_grpc_says_of_bad_metadata_is_not_repeated() -> None:
    """The value may be a credential."""
    stream = io.StringIO()
    written(stream)

    logging.getLogger("grpc._cython.cygrpc").error("Invalid encoding on %s", b"Bearer pk_secret")
    logging.getLogger("grpc._cython.cygrpc").error("something else")

    assert [json.loads(line)["message"] for line in lines(stream)] == ["something else"]


@pytest.mark.parametrize(
    "unsent",
    [
        "ExecuteBatchError raised in core by servicer method [/penstock.v1.AgentService/Process]",
        "Failed sending error status from server",
    ],
)
def test_what_grpc_says_of_a_caller_who_left_is_not_told(unsent: str) -> None:
    """To leave is no error; one of a handler's is, and so is a line like these that is not gRPC's."""
    stream = io.StringIO()
    log, error = written(stream), raised()

    for message in (unsent, "Unexpected [ValueError] raised by servicer method [/x]"):
        logging.getLogger("grpc._cython.cygrpc").error(message, exc_info=error)
    log.error(unsent)

    assert [json.loads(line)["message"] for line in lines(stream)] == [
        "Unexpected [ValueError] raised by servicer method [/x]",
        unsent,
    ]


def test_a_log_may_be_bound_to_a_call() -> None:
    """Every line has its fields then, before its own."""
    stream = io.StringIO()
    log = written(stream).bound(request_id="r1").bound(agent="a")

    log.info("one", order=7)
    log.exception("two", error=ValueError())  # noqa: LOG004 - a log of ours

    one, two = (json.loads(line) for line in lines(stream))
    assert (one["request_id"], one["agent"], one["order"]) == ("r1", "a", 7)
    assert (two["request_id"], two["agent"]) == ("r1", "a")


def test_a_field_does_not_take_the_place_of_anothers() -> None:
    """What the line says of itself, and what the log is bound to, stands; the field has an underscore behind it."""
    stream = io.StringIO()
    log = written(stream)

    log.info("said", message="m", level="CRITICAL", service="x", timestamp="0", order=7)
    log.bound(request_id="r1").bound(request_id="r2").exception("said", error=ValueError(), request_id="r3")

    free, bound = (json.loads(line) for line in lines(stream))
    assert (free["message"], free["level"], free["service"]) == ("said", "INFO", "penstockd")
    assert [free[f"{name}_"] for name in ("message", "level", "service", "timestamp")] == ["m", "CRITICAL", "x", "0"]
    assert free["order"] == 7
    assert (bound["request_id"], bound["request_id_"]) == ("r1", "r3")


def test_a_line_is_json_whatever_is_in_it() -> None:
    """Also what is neither UTF-8 nor a number."""
    stream = io.StringIO()

    written(stream).info("odd", text="\ud800 NaN", number=float("nan"), most=float("-inf"), large=10**30)

    (line,) = lines(stream)
    fields = json.loads(line, parse_constant=pytest.fail)
    assert (fields["text"], fields["number"], fields["most"]) == ("\ud800 NaN", None, None)
    assert fields["large"] == 10**30


def test_headers_that_cannot_be_read_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry would show them whole, and they are credentials as a rule."""
    stream = io.StringIO()
    written(stream)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team: hidden-value")

    OTLPSpanExporter()

    (line,) = lines(stream)
    assert "Header format invalid" in line
    assert "hidden" not in line


def test_other_handlers_find_what_they_know_of(caplog: pytest.LogCaptureFixture) -> None:
    """A record of ours has every attribute of the library's own, and the same time of day."""
    with caplog.at_level(logging.INFO):
        Log("penstockd.test").info("it happened", model="fast")

    [record] = caplog.records
    plain = logging.LogRecord("x", logging.INFO, "", 0, "x", (), None)
    assert vars(plain).keys() - vars(record).keys() == set()
    assert record.getMessage() == "it happened"
    assert record.msecs == pytest.approx(record.created % 1 * 1000)


def test_a_filter_decides_what_is_told() -> None:
    """Anybody may put one on our logger, as on any."""
    stream = io.StringIO()
    log = written(stream)

    logging.getLogger("penstockd.test").addFilter(lambda record: record.msg != "secret")
    log.info("secret")
    log.info("heard")

    assert [json.loads(line)["message"] for line in lines(stream)] == ["heard"]


def test_the_level_may_change() -> None:
    """For every logger of the process at once."""
    stream = io.StringIO()
    log = written(stream)

    set_level("WARNING")
    log.info("unheard")
    set_level("INFO")
    log.info("heard")

    assert [json.loads(line)["message"] for line in lines(stream)] == ["heard"]
