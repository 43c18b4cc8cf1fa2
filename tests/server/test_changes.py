"""The latest changes of state are kept, and no more of them."""

from fakes.clock import FakeClock
from penstockd import changes as module
from penstockd.changes import Changes


def test_the_newest_comes_first() -> None:
    """With its moment."""
    clock = FakeClock()
    changes = Changes(clock)

    changes.add("circuit", "fast", "open", "connect_failed")
    clock.advance(5)
    changes.add("circuit", "fast", "closed", "probes succeeded")

    newest, oldest = changes.latest
    assert (newest.state, oldest.state) == ("closed", "open")
    assert newest.at - oldest.at == 5


def test_only_so_many_are_kept() -> None:
    """The rest is in the log."""
    changes = Changes(FakeClock())

    for number in range(module.MOST + 10):
        changes.add("circuit", f"model-{number}", "open")

    assert len(changes.latest) == module.MOST
    assert changes.latest[0].subject == f"model-{module.MOST + 9}"


def test_what_many_repeat_is_one() -> None:
    """A flood of users over their budgets does not push the circuit out that explains it."""
    clock = FakeClock()
    changes = Changes(clock)
    changes.add("circuit", "fast", "open")

    for _ in range(1000):
        clock.advance(1)
        changes.add_or_count("budget", "acme, per user", "used up", "1 USD per day")

    budget, circuit = changes.latest
    assert (budget.count, budget.at) == (1000, clock.wall())
    assert circuit.subject == "fast"
