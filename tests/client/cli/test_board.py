"""The board shows what is wrong first, fits its terminal, and obeys nobody but its user."""

from copy import deepcopy

import pytest

from fakes.snapshots import SNAPSHOT
from penstock.cli.board import Board


def board(width: int = 80, *, is_colored: bool = False) -> Board:
    """A board for a terminal that wide."""
    return Board(width=width, is_colored=is_colored)


def test_what_is_wrong_comes_first() -> None:
    """Worst above, each with its severity."""
    head, *problems = board().lines(SNAPSHOT)[:4]

    assert head.startswith("penstock 1.2.3 · production · up 2 h 46 min · ")
    assert problems == [
        "CRITICAL  The ledger cannot be written: full.",
        "WARNING   Model fast is open: connect failed.",
        "NOTICE    Model old was disabled by an operator.",
    ]


def test_all_well_is_said() -> None:
    """With how much of the pool can be used: what cools down cannot."""
    lines = board().lines({**SNAPSHOT, "problems": []})

    assert lines[1] == "ALL WELL  0 of 2 models usable"


def test_every_part_is_there() -> None:
    """In the order of the page."""
    text = "\n".join(board(100).lines(SNAPSHOT))

    for line in (
        "calls      8.0/s, 1234 in all           ▁▂▃▅█",
        "failed     10% of 5 min                 ▁▂▃▅█",
        "refused    7 in 5 min",
        "p99        1.90 s, half 120 ms           ████",
        "spend      $2.00 in 5 min               ▁▂▃▅█",
        "in flight  3 of 1000, 9 shed in 5 min",
        "fast       open      0/100    100%  350 ms     60  $1.25  probe in 15 s, connect failed",
        "strong  cooling      0/100    100%  350 ms     60  $1.25  back in 8 s",
        "whole call        90  400 µs  210 ms  120 ms  500 ms  1.90 s  2.50 s",
        "in penstock        0       -       -       -       -       -       -",
        "OVERLOADED              9      13",
        "MODELS_UNAVAILABLE      1      21",
        "acme      100    1234      34      90  $0.000070",
        "600/m requests           40      90  acme, per tenant",
        "acme        75%  $150.00  $0.0010  200 USD per month",
        "on          75%    30      10      4       12  33.76 KiB  by key: 3 replays, 2 joins",
    ):
        assert line in text
    assert "circuit  half-open  fast: x y (3 times)" in text
    assert text.rstrip().endswith("daemon      ready  penstockd")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """What does not fit is cut, and that is shown."""
    it = deepcopy(SNAPSHOT)
    it["changes"][0]["cause"] = "long " * 100

    lines = board(width).lines(it)

    assert max(map(len, lines)) == width
    assert any(line.endswith("…") for line in lines)


@pytest.mark.parametrize("width", [40, 80])
def test_what_is_wrong_is_never_cut(width: int) -> None:
    """Its end says what to do; it goes on below, in its own colour."""
    it = deepcopy(SNAPSHOT)
    words = [f"word-{number}" for number in range(40)]
    it["problems"] = [{**it["problems"][0], "text": " ".join(words)}]

    lines = board(width).lines(it)
    first, *more = lines[1 : lines.index("")]

    assert first.startswith("CRITICAL  word-0 ")
    assert all(line.startswith(" " * 10 + "word-") and len(line) <= width for line in more)
    assert " ".join([first, *more]).split()[1:] == words
    colored = board(width, is_colored=True).lines(it)
    assert colored[2] == f"\x1b[31m\x1b[1m{more[0]}\x1b[0m"


def test_a_change_names_nothing_twice() -> None:
    """What and whose are often the same."""
    change = {
        "at": 1.0,
        "what": "configuration",
        "subject": "configuration",
        "state": "refused",
        "cause": "",
        "count": 1,
    }
    it = {**SNAPSHOT, "changes": [{**change, "cause": "2 in the log"}, {**change, "count": 3}, change]}

    text = "\n".join(board().lines(it))

    assert "configuration  refused  2 in the log\n" in text
    assert "configuration  refused  (3 times)\n" in text
    assert text.endswith("configuration  refused")


def test_a_lost_daemon_is_said_loudly() -> None:
    """And of when the rest is."""
    lines = board().lines(SNAPSHOT, lost="nobody is there")

    assert lines[1].startswith("DISCONNECTED: nobody is there; what is below is of ")


def test_colours_are_for_those_who_want_them() -> None:
    """The words say the same without."""
    plain, colored = board().lines(SNAPSHOT), board(is_colored=True).lines(SNAPSHOT)

    assert "\x1b" not in "".join(plain)
    assert colored[1] == f"\x1b[31m\x1b[1m{plain[1]}\x1b[0m"
    assert colored[3] == plain[3]


def test_a_name_cannot_steer_the_terminal() -> None:
    """Whoever chose it."""
    it = deepcopy(SNAPSHOT)
    it["problems"][0]["text"] = it["models"][0]["name"] = it["environment"] = "a\x1b]0;title\x07b\nc"

    text = "".join(board().lines(it))

    assert "\x1b" not in text
    assert "\x07" not in text
    assert "a]0;titleb c" in text


def test_a_model_that_is_asked_in_vain_does_not_look_well() -> None:
    """What nobody is to blame for is not among its errors."""
    it = deepcopy(SNAPSHOT)
    it["models"][0] |= {"state": "closed", "cause": "", "next_probe_in": None, "error_rate": 0.0, "blameless": 0.925}

    [line] = [line for line in board().lines(it) if line.startswith("fast ")]

    assert line == "fast     closed      0/100      0%  350 ms     60  $1.25  92% in vain"


def test_when_a_model_comes_back_is_seen_on_a_narrow_terminal() -> None:
    """In the page's words; why it is away stands above, whole. A provider's patience opens no circuit sooner."""
    it = deepcopy(SNAPSHOT)
    it["models"] = [
        {**it["models"][0], "cooldown": 7.2},
        {**it["models"][1], "state": "disabled", "next_probe_in": None},
    ]

    lines = board(80).lines(SNAPSHOT) + board(80).lines(it)

    assert [line.partition("$1.25")[2].strip() for line in lines if line.startswith(("fast ", "strong "))] == [
        "probe in 15 s, connec…",
        "back in 8 s",
        "probe in 15 s, conne…",
        "",
    ]


def test_an_older_daemon_can_be_shown() -> None:
    """In a roll-out there are replicas of two versions, and what one of them does not tell is left out."""
    it = deepcopy(SNAPSHOT)
    del it["idempotency"], it["certificate_expires_at"], it["calls"]["last_5m_failed"], it["calls"]["last_5m_refused"]
    del it["calls"]["by_reason"], it["calls"]["last_5m_by_reason"], it["calls"]["shed"], it["calls"]["last_5m_shed"]
    for model in it["models"]:
        del model["blameless"]

    text = "\n".join(board(100).lines(it))

    assert "failed     15% of 5 min" in text
    assert "refused    0 in 5 min" in text
    assert "in flight  3 of 1000\n" in text
    assert "FAILED WITH" not in text
    assert "fast       open      0/100    100%  350 ms     60  $1.25  probe in 15 s, connect failed\n" in text
    assert "on          75%    30      10      4       12  33.76 KiB\n" in text


def test_a_young_daemon_can_be_shown() -> None:
    """Nothing was measured, nobody has called."""
    it = {**SNAPSHOT, "traffic": [], "tenants": [], "limits": [], "budgets": [], "models": [], "changes": []}
    it["calls"] = {**SNAPSHOT["calls"], "last_5m_by_code": {}, "last_5m_failed": 0, "last_5m_refused": 0}
    it["calls"] |= {"by_reason": {}, "last_5m_by_reason": {}, "shed": 0, "last_5m_shed": 0}
    it["cache"] = {**SNAPSHOT["cache"], "enabled": False, "hits": 0, "misses": 0}
    it["idempotency"] = {"replays": 0, "joins": 0}

    lines = board().lines(it)

    assert "calls      0.0/s, 1234 in all" in lines
    assert "in flight  3 of 1000" in lines
    assert "FAILED WITH" not in "".join(lines)
    assert "TENANT" not in "".join(lines)
