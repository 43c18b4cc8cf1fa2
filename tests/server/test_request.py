"""Parameters fall back on the next in line."""

from penstockd.request import Parameters

FULL = Parameters(temperature=0.5, top_p=0.9, max_output_tokens=10, stop=("x",), seed=1)
OTHER = Parameters(temperature=1.0, top_p=0.1, max_output_tokens=99, stop=("y",), seed=2)


def test_what_is_said_stands() -> None:
    """Every field of the first wins."""
    assert FULL.over(OTHER) == FULL


def test_silence_leaves_the_choice() -> None:
    """Every field of the defaults is taken over."""
    assert Parameters().over(FULL) is FULL


def test_zero_is_said() -> None:
    """A temperature and a seed of 0 are choices."""
    assert Parameters(temperature=0.0, seed=0).over(FULL) == Parameters(
        temperature=0.0, top_p=0.9, max_output_tokens=10, stop=("x",), seed=0
    )
