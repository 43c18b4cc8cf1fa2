"""What is held beside the ledger: there after a death, gone once it is settled, and never longer than it must be."""

import stat
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from fakes.ledger import settled
from fakes.small_disk import SmallDisk
from penstockd.stores.ledger import held_rows
from penstockd.stores.ledger.held_rows import HeldRows
from penstockd.stores.ledger.operations import Row, row_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "ledger.db.held"


def test_what_is_held_is_there_at_once_for_whoever_comes_next(path: Path) -> None:
    """It is its user's alone, as it names callers."""
    held = HeldRows(path)
    held.add(row("a"))
    held.add(row("a", attempt=2))

    assert HeldRows(path).left() == [row("a"), row("a", attempt=2)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_file_nothing_was_left(path: Path) -> None:
    """As after every clean stop."""
    assert HeldRows(path).left() == ()


def test_what_was_settled_goes_with_the_next_compaction(path: Path) -> None:
    """And only that."""
    with closing(HeldRows(path)) as held:
        held.add(row("a"))
        held.add(row("b"))
        held.drop(row("a"))
        held.drop(row("never held"))
        before = HeldRows(path).left()

        held.compact()

        assert before == [row("a"), row("b")]
        assert HeldRows(path).left() == [row("b")]


def test_what_is_released_is_gone_at_once(path: Path) -> None:
    """A death right after it charges nothing."""
    held = HeldRows(path)
    held.add(row("a"))
    held.add(row("b"))

    assert held.release(row("a"))
    assert not held.release(row("a"))
    assert HeldRows(path).left() == [row("b")]


def test_what_is_released_after_a_fault_is_gone_as_well(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is written anew without it."""
    monkeypatch.setattr(held_rows, "LONGEST", 0)
    in_the_way = path.with_name("ledger.db.held.new")
    held = HeldRows(path)
    held.add(row("a"))
    in_the_way.mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        held.add(row("b"))
    in_the_way.rmdir()

    assert held.release(row("a"))
    assert HeldRows(path).left() == []


def test_the_file_stays_short(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many attempts there are, and whatever is held meanwhile stays."""
    monkeypatch.setattr(held_rows, "LONGEST", 3000)
    sizes = []
    with closing(HeldRows(path)) as held:
        held.add(row("long"))
        for number in range(200):
            held.add(row(f"{number}"))
            held.drop(row(f"{number}"))
            sizes.append(path.stat().st_size)

    assert max(sizes) < 3500
    assert HeldRows(path).left()[0] == row("long")


def test_a_file_of_nothing_but_what_is_held_is_not_written_anew_at_every_row(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may grow to twice that, so that a row costs the same however many there are."""
    monkeypatch.setattr(held_rows, "LONGEST", 1000)
    with closing(HeldRows(path)) as held:
        files = []
        for number in range(400):
            held.add(row(f"{number}"))
            files.append(path.stat().st_ino)

    assert sum(one != other for one, other in pairwise(files)) < 10


def test_a_clean_end_leaves_no_file(path: Path) -> None:
    """Unless something was not settled, which the next daemon must know of."""
    with closing(HeldRows(path)) as held:
        held.add(row("a"))
    was_left = path.exists()
    with closing(HeldRows(path)) as held:
        held.add(row("b"))
        held.drop(row("b"))

    assert was_left
    assert not path.exists()


def test_a_clean_end_after_a_fault_leaves_no_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had before the fault was settled as well."""
    monkeypatch.setattr(held_rows, "LONGEST", 0)
    in_the_way = path.with_name("ledger.db.held.new")
    with closing(HeldRows(path)) as held:
        held.add(row("a"))
        held.drop(row("a"))
        in_the_way.mkdir()
        with pytest.raises(OSError, match="Is a directory"):
            held.add(row("b"))
        in_the_way.rmdir()

    assert not path.exists()


def test_an_end_without_a_beginning_leaves_what_was_there(path: Path) -> None:
    """Nobody has taken it over yet."""
    with closing(HeldRows(path)) as held:
        held.add(row("a"))

    HeldRows(path).close()

    assert HeldRows(path).left() == [row("a")]


def test_a_torn_end_is_nothing(path: Path) -> None:
    """Whoever was writing it had not been told that it was held."""
    held = HeldRows(path)
    held.add(row("a"))
    with path.open("ab") as file:
        file.write(b'{"call_id": "b", "att')

    assert HeldRows(path).left() == [row("a")]


def test_damage_in_the_middle_is_not_passed_over(path: Path) -> None:
    """An attempt may be in there."""
    path.write_bytes(b"not JSON\n{}\n")

    with pytest.raises(ValueError, match="malformed"):
        HeldRows(path).left()


def test_a_full_disk_holds_nothing_more_and_loses_nothing(disk: SmallDisk) -> None:
    """When there is space again, the file is written anew: no line is ever added to a torn one."""
    path = disk.path / "held"
    with closing(HeldRows(path)) as held:
        held.add(row("a"))
        disk.fill()
        taken = [row("a")]
        for number in range(1000):
            with suppress(OSError):
                held.add(row(f"{number}"))
                taken.append(row(f"{number}"))
        while_full = HeldRows(path).left()

        disk.free()
        held.add(row("z"))

    assert while_full == taken
    assert HeldRows(path).left() == [*taken, row("z")]
    assert len(taken) < 100


def test_a_file_that_cannot_take_the_old_ones_place_is_not_written_to(path: Path) -> None:
    """Its lines would be found by nobody."""
    held = HeldRows(path)
    path.mkdir()
    (path / "in the way").touch()
    for _ in range(2):
        with pytest.raises(OSError, match=r"ledger\.db\.held"):
            held.add(row("a"))


def row(call_id: str, attempt: int = 1) -> Row:
    """As much of a row as matters here."""
    return row_of(settled(call_id=call_id, attempt=attempt, cost_nanousd=None), 1)
