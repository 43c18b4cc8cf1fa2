"""The journal writes everything in order, together where it can, and keeps what it owes through every fault."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from fakes.clock import FakeClock
from fakes.ledger import held, settled, until
from penstockd.ledger import LedgerUnavailable
from penstockd.resilience.backoff import Backoff
from penstockd.stores.ledger import journal as journals
from penstockd.stores.ledger.journal import Journal
from penstockd.stores.ledger.operations import Kind, Operation, row_of
from penstockd.stores.ledger.worker import Worker


class Paper:
    """A database that remembers its commits, and fails while it has a `fault`."""

    def __init__(self, *, commits_fast: bool) -> None:
        self.commits_fast = commits_fast
        self.has_company = True
        self.commits: list[list[str]] = []
        self.threads: set[str] = set()
        self.fault: Exception | None = None
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def write(self, operations: Sequence[Operation]) -> None:
        self.threads.add(threading.current_thread().name)
        self.may_go_on.wait(10)
        if self.fault is not None:
            raise self.fault
        self.commits.append([name_of(operation) for operation in operations if operation.kind is not Kind.PROBE])

    @property
    def written(self) -> list[str]:
        """Everything, in order."""
        return [name for commit in self.commits for name in commit]


class Desk:
    """A journal on paper, and everything it says."""

    def __init__(self, *, commits_fast: bool) -> None:
        self.clock = FakeClock()
        self.paper = Paper(commits_fast=commits_fast)
        self.faults: list[str] = []
        self.commits: list[float] = []
        self.worker = Worker("writer")
        self.journal = Journal(
            self.paper,
            self.worker,
            clock=self.clock,
            backoff=Backoff(1.0, 8.0, random=lambda: 1.0),
            changed=self.faults.append,
            committed=self.commits.append,
        )

    async def fail(self, text: str = "the disk is full") -> None:
        """Let a write find a fault."""
        self.paper.fault = OSError(text)
        with pytest.raises(LedgerUnavailable, match=text):
            await self.journal.write(settle("first"))

    async def sleeps(self) -> None:
        """Return once the journal waits for its next attempt to recover."""
        await until(lambda: self.clock.sleeping > 0)

    async def recovers(self) -> None:
        """Let the database be back, and return once the journal knows."""
        await self.sleeps()
        self.paper.fault = None
        self.clock.advance(8.0)
        await until(lambda: not self.journal.fault)


@pytest.fixture(params=["on the loop", "in a thread"])
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    """Either way to commit."""
    desk = Desk(commits_fast=request.param == "on the loop")
    yield desk
    desk.paper.fault = None
    desk.paper.may_go_on.set()
    await desk.journal.close()
    desk.worker.stop()


async def test_an_idle_journal_commits_at_once(desk: Desk) -> None:
    """One row is one commit, without a pause on either side."""
    await desk.journal.write(settle("a"))
    await desk.journal.write(settle("b"))

    assert desk.paper.commits == [["settle a"], ["settle b"]]
    assert desk.clock.sleeping == 0
    assert desk.paper.threads == {"MainThread" if desk.paper.commits_fast else "writer"}


async def test_what_arrives_together_is_committed_together(desk: Desk) -> None:
    """In the order in which it came."""
    await asyncio.gather(*(desk.journal.write(settle(name)) for name in "abc"))

    assert desk.paper.commits == [["settle a", "settle b", "settle c"]]


async def test_a_batch_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd takes several commits."""
    monkeypatch.setattr(journals, "LARGEST_BATCH", 2)

    await asyncio.gather(*(desk.journal.write(settle(name)) for name in "abcde"))

    assert [len(commit) for commit in desk.paper.commits] == [2, 2, 1]
    assert desk.paper.written == [f"settle {name}" for name in "abcde"]


async def test_a_fault_refuses_holds_and_keeps_settlements(desk: Desk) -> None:
    """Those that met it and those that come later; each is told why."""
    desk.paper.fault = OSError("the disk is full")

    results = await asyncio.gather(
        desk.journal.write(settle("a")), desk.journal.write(hold("b")), return_exceptions=True
    )
    for late in (hold("c"), settle("d")):
        with pytest.raises(LedgerUnavailable, match="the disk is full"):
            await desk.journal.write(late)

    assert [str(result) for result in results] == ["the disk is full"] * 2
    assert (desk.journal.fault, desk.faults) == ("the disk is full", ["the disk is full"])
    assert desk.journal.waiting == 2  # a and d; that b is to be taken back loses nothing
    assert "3 kept" in repr(desk.journal)


async def test_what_was_kept_is_written_in_order_when_the_database_is_back(desk: Desk) -> None:
    """Before anything new, and a hold that may or may not have been written is taken back."""
    desk.paper.fault = OSError("gone")
    await asyncio.gather(desk.journal.write(settle("a")), desk.journal.write(hold("b")), return_exceptions=True)
    with pytest.raises(LedgerUnavailable):
        await desk.journal.write(settle("c"))

    await desk.recovers()
    await desk.journal.write(settle("d"))

    assert desk.paper.written == ["settle a", "release b", "settle c", "settle d"]
    assert desk.faults == ["gone", ""]


async def test_it_tries_again_with_backoff_until_the_fault_is_over(desk: Desk) -> None:
    """And tells when the fault has become another one."""
    await desk.fail()
    desk.paper.fault = OSError("it is read-only")

    for delay in (1.0, 2.0, 4.0):
        await desk.sleeps()
        desk.clock.advance(delay - 0.01)
        await asyncio.sleep(0.01)
        assert desk.clock.sleeping == 1
        desk.clock.advance(0.01)
    await desk.recovers()

    assert desk.faults == ["the disk is full", "it is read-only", ""]
    assert desk.paper.written == ["settle first"]


async def test_many_kept_are_written_in_several_commits(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order all the same."""
    monkeypatch.setattr(journals, "LARGEST_BATCH", 2)
    await desk.fail()
    for name in "abcd":
        with pytest.raises(LedgerUnavailable):
            await desk.journal.write(settle(name))

    await desk.recovers()

    assert desk.paper.written == ["settle first", "settle a", "settle b", "settle c", "settle d"]
    assert (desk.journal.written, desk.journal.waiting) == (5, 0)


async def test_a_hold_cut_short_is_taken_back(desk: Desk) -> None:
    """After it was written, as it may have been."""
    task = asyncio.create_task(desk.journal.write(hold("a")))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    await desk.journal.write(settle("b"))

    assert desk.paper.written == ["hold a", "release a", "settle b"]


async def test_a_hold_cut_short_during_a_fault_is_taken_back_later(desk: Desk) -> None:
    """The fault and the cut may come at the same moment."""
    desk.paper.may_go_on.clear()
    desk.paper.fault = OSError("gone")
    task = asyncio.create_task(desk.journal.write(hold("a")))
    await asyncio.sleep(0)
    desk.paper.may_go_on.set()
    async with asyncio.timeout(5):
        while not desk.journal.fault:
            await asyncio.sleep(0)
            if desk.journal.fault:
                task.cancel()
    await asyncio.wait([task])

    await desk.recovers()

    assert set(desk.paper.written) == {"release a"}


async def test_nothing_is_written_while_something_is_done_alone(desk: Desk) -> None:
    """What arrives meanwhile is written right after."""
    order: list[str] = []

    async def write(name: str) -> None:
        await desk.journal.write(settle(name))
        order.append(name)

    def work() -> list[str]:
        order.append("alone")
        return desk.paper.written

    alone = asyncio.create_task(desk.journal.alone(work))
    await asyncio.sleep(0)
    await asyncio.gather(alone, write("a"))

    assert alone.result() == []
    assert order == ["alone", "a"]


async def test_what_is_done_alone_holds_up_callers_for_a_bounded_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is a fault like a commit that hangs, which ends with it; what was settled meanwhile is written."""
    monkeypatch.setattr(journals, "PATIENCE", 0.05)
    may_go_on = threading.Event()
    alone = asyncio.create_task(desk.journal.alone(lambda: may_go_on.wait(10)))
    await asyncio.sleep(0)

    results = await asyncio.gather(
        desk.journal.write(hold("a")), desk.journal.write(settle("b")), return_exceptions=True
    )
    assert [str(result) for result in results] == ["the database does not answer"] * 2
    may_go_on.set()
    assert await alone
    await desk.recovers()
    await desk.journal.write(settle("c"))

    assert desk.paper.written == ["release a", "settle b", "settle c"]
    assert desk.faults == ["the database does not answer", ""]


async def test_what_is_done_alone_behind_a_commit_that_hangs_makes_no_second_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One of them is enough to say it."""
    monkeypatch.setattr(journals, "PATIENCE", 0.05)
    desk = Desk(commits_fast=False)
    desk.paper.may_go_on.clear()
    writing = asyncio.create_task(desk.journal.write(settle("a")))
    await asyncio.sleep(0.01)
    alone = asyncio.create_task(desk.journal.alone(lambda: None))
    with pytest.raises(LedgerUnavailable):
        await writing
    await asyncio.sleep(0.1)
    assert desk.clock.sleeping == 1

    desk.paper.may_go_on.set()
    await alone
    await desk.recovers()

    assert desk.faults == ["the database does not answer", ""]
    await desk.journal.close()
    desk.worker.stop()


async def test_what_has_arrived_is_written_before_the_end(desk: Desk) -> None:
    """Closing waits for it, and for what was kept if that can be written now."""
    await desk.fail()
    desk.paper.fault = None
    await desk.journal.close()
    late = asyncio.create_task(desk.journal.write(settle("late")))
    await asyncio.sleep(0)

    await desk.journal.close()

    assert late.done()
    assert desk.paper.written == ["settle first", "settle late"]


async def test_a_database_that_hangs_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers get their answers; when it moves again, nothing is missing."""
    monkeypatch.setattr(journals, "PATIENCE", 0.05)
    desk = Desk(commits_fast=False)
    desk.paper.may_go_on.clear()

    with pytest.raises(LedgerUnavailable, match="does not answer"):
        await desk.journal.write(settle("a"))
    await desk.sleeps()
    desk.clock.advance(1.0)  # this attempt does not get its turn either
    await desk.sleeps()
    desk.paper.may_go_on.set()
    await desk.recovers()

    assert set(desk.paper.written) == {"settle a"}
    await desk.journal.close()
    desk.worker.stop()


async def test_a_commit_that_fails_after_the_journal_gave_it_up_is_nobodys_error() -> None:
    """asyncio would tell, in the log, of an exception that nobody took."""
    desk, told = Desk(commits_fast=False), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    await desk.fail()
    await desk.sleeps()
    desk.paper.threads.clear()
    desk.paper.may_go_on.clear()
    desk.clock.advance(1.0)
    await until(lambda: bool(desk.paper.threads))

    closing = asyncio.create_task(desk.journal.close())
    await asyncio.sleep(0.01)
    closing.cancel()
    await asyncio.wait([closing])
    del closing
    desk.paper.may_go_on.set()
    await desk.worker.run(lambda: None)
    gc.collect()

    assert not told


async def test_many_callers_leave_a_gap_between_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the last commit took, at most five milliseconds."""
    desk = Desk(commits_fast=False)
    desk.paper.may_go_on.clear()
    first = asyncio.gather(*(desk.journal.write(settle(name)) for name in "ab"))
    await asyncio.sleep(0.01)
    desk.clock.advance(1.0)
    desk.paper.may_go_on.set()
    await first
    second = asyncio.create_task(desk.journal.write(settle("c")))
    await desk.sleeps()

    desk.clock.advance(0.004)
    await asyncio.sleep(0.01)
    before = len(desk.paper.commits)
    desk.clock.advance(0.001)
    await second

    assert (before, len(desk.paper.commits)) == (1, 2)
    await desk.journal.close()
    desk.worker.stop()


@pytest.fixture
async def loop_desk() -> AsyncIterator[Desk]:
    """A journal whose database commits on the event loop."""
    desk = Desk(commits_fast=True)
    yield desk
    desk.clock.advance(1.0)
    await desk.journal.close()
    desk.worker.stop()


async def test_callers_who_shared_a_commit_wait_for_others_to_share_the_next(loop_desk: Desk) -> None:
    """Until five milliseconds after it; whoever comes later than that waits for nobody."""
    journal, clock, paper = loop_desk.journal, loop_desk.clock, loop_desk.paper
    await asyncio.gather(*(journal.write(settle(name)) for name in "ab"))
    clock.advance(0.002)
    first = asyncio.create_task(journal.write(settle("c")))
    await loop_desk.sleeps()
    clock.advance(0.0029)
    second = asyncio.create_task(journal.write(settle("d")))
    await asyncio.sleep(0.01)
    before = list(paper.commits)
    clock.advance(0.0002)
    await asyncio.gather(first, second)
    clock.advance(0.005)
    await journal.write(settle("e"))

    assert before == [["settle a", "settle b"]]
    assert paper.commits[1:] == [["settle c", "settle d"], ["settle e"]]


async def test_who_is_alone_waits_for_nobody(loop_desk: Desk) -> None:
    """Not even for a turn of the loop."""
    journal, paper = loop_desk.journal, loop_desk.paper
    paper.has_company = False
    for name in "ab":
        with pytest.raises(StopIteration):  # it is through without giving way once
            journal.write(settle(name)).send(None)

    assert paper.commits == [["settle a"], ["settle b"]]
    assert journal.waiting == 0


async def test_who_is_alone_is_told_of_a_fault(loop_desk: Desk) -> None:
    """As anybody is, and what it owes is written when the fault is over."""
    loop_desk.paper.has_company = False
    await loop_desk.fail()
    with pytest.raises(LedgerUnavailable, match="the disk is full"):
        await loop_desk.journal.write(settle("second"))
    waiting = loop_desk.journal.waiting

    await loop_desk.recovers()

    assert waiting == 2
    assert loop_desk.paper.written == ["settle first", "settle second"]


async def test_who_is_alone_waits_while_something_is_done_alone(loop_desk: Desk) -> None:
    """It is written when that is done."""
    journal, paper = loop_desk.journal, loop_desk.paper
    paper.has_company = False
    may_end = threading.Event()
    working = asyncio.create_task(journal.alone(lambda: may_end.wait(10)))
    await asyncio.sleep(0)
    writing = asyncio.create_task(journal.write(settle("a")))
    await asyncio.sleep(0.01)
    before = list(paper.commits)
    may_end.set()
    await asyncio.gather(working, writing)

    assert before == []
    assert paper.commits == [["settle a"]]


async def test_company_that_does_not_come_is_no_longer_waited_for(loop_desk: Desk) -> None:
    """One caller alone soon has its commits at once again."""
    journal, clock = loop_desk.journal, loop_desk.clock
    await asyncio.gather(*(journal.write(settle(name)) for name in "ab"))
    waited = 0
    for name in range(2 * journals.SHARED_FOR):
        task = asyncio.create_task(journal.write(settle(str(name))))
        await asyncio.sleep(0.001)
        if clock.sleeping:
            waited += 1
            clock.advance(journals.LONGEST_GAP)
        await task

    assert waited == journals.SHARED_FOR


async def test_work_that_is_to_be_done_alone_is_not_met_by_a_gap_that_ends(loop_desk: Desk) -> None:
    """What waited for company is written after it, and so it is at the end."""
    journal, clock, paper = loop_desk.journal, loop_desk.clock, loop_desk.paper
    await asyncio.gather(*(journal.write(settle(name)) for name in "ab"))
    late = asyncio.create_task(journal.write(settle("c")))
    await loop_desk.sleeps()

    def work() -> int:
        asyncio.run_coroutine_threadsafe(_advance(clock), loop).result(5)
        return len(paper.commits)

    loop = asyncio.get_running_loop()
    assert await journal.alone(work) == 1
    await late

    assert paper.commits[1:] == [["settle c"]]


async def _advance(clock: FakeClock) -> None:
    clock.advance(1.0)
    await asyncio.sleep(0.01)


async def test_an_error_nobody_foresaw_keeps_nobody_waiting(desk: Desk) -> None:
    """It is a fault like others, by its own name where it has no words."""
    desk.paper.fault = ZeroDivisionError()

    with pytest.raises(LedgerUnavailable, match="ZeroDivisionError"):
        await desk.journal.write(settle("a"))


def test_work_that_is_given_up_before_its_turn_is_not_begun() -> None:
    """A reader that left costs nothing."""
    begun: list[str] = []

    async def give_up() -> None:
        worker = Worker("reader")
        holding = threading.Event()
        first = worker.run(lambda: holding.wait(5))
        second = worker.run(lambda: begun.append("second"))
        second.cancel()
        await asyncio.sleep(0)  # the thread learns of it
        holding.set()
        await first
        await worker.run(lambda: begun.append("third"))
        worker.stop()

    asyncio.run(give_up())

    assert begun == ["third"]


async def test_each_commit_is_told_how_long_it_took(desk: Desk) -> None:
    """However many rows it takes along."""
    await asyncio.gather(desk.journal.write(settle("a")), desk.journal.write(settle("b")))

    assert desk.commits == [0.0]


async def test_what_is_not_yet_written_is_counted(desk: Desk) -> None:
    """Also what is kept while the database is away."""
    assert desk.journal.waiting == 0

    await desk.fail()

    assert desk.journal.waiting == 1
    with pytest.raises(LedgerUnavailable):
        await desk.journal.write(settle("second"))
    assert desk.journal.waiting == 2

    await desk.sleeps()
    await desk.recovers()
    assert desk.journal.waiting == 0


async def test_what_is_not_yet_written_may_be_counted_from_another_thread(desk: Desk) -> None:
    """As gauges are, while more of it comes and goes."""
    await desk.fail()
    seen: list[int] = []

    def look() -> None:
        while not seen or seen[-1] < 3000:
            seen.append(desk.journal.waiting)

    looks = asyncio.create_task(asyncio.to_thread(look))
    for name in range(3000):
        with pytest.raises(LedgerUnavailable):
            await desk.journal.write(settle(str(name)))
        await asyncio.sleep(0)
    await looks

    await desk.sleeps()
    await desk.recovers()
    assert desk.journal.waiting == 0


def settle(name: str) -> Operation:
    """What settles a row."""
    return Operation(Kind.SETTLE, row_of(settled(call_id=name), 1))


def hold(name: str) -> Operation:
    """What holds a row."""
    return Operation(Kind.HOLD, row_of(held(call_id=name), 1))


def name_of(operation: Operation) -> str:
    """What it does to which row."""
    assert operation.row
    return f"{operation.kind.value} {operation.row.call_id}"
