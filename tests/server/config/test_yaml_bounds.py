"""Little text does not take much time."""

import pytest

from penstockd.config.yaml_text import NotYaml, parse_yaml


def laughs(rows: int, each: int) -> str:
    """Rows of a list, each of which repeats the one above `each` times."""
    first = "a0: &a0 [lol]"
    return "\n".join([first, *(f"a{row}: &a{row} [{f'*a{row - 1}, ' * each}]" for row in range(1, rows))])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 3000 + "]" * 3000, "is nested more than 64 deep"),
        ("{a: " * 3000 + "}" * 3000, "is nested more than 64 deep"),
        (laughs(70, each=1), "is nested more than 64 deep"),
        (laughs(7, each=9), "aliases repeat more than 100000 values"),
        ("a: &a [" + "x, " * 1000 + "]\nb: [" + "*a, " * 100 + "]", "aliases repeat more than 100000 values"),
    ],
)
def test_what_would_take_too_long_is_refused(text: str, problem: str) -> None:
    """However little text it is, and before the time is spent."""
    with pytest.raises(NotYaml) as raised:
        parse_yaml(text)

    assert raised.value.problem == problem


def test_what_people_write_is_not_too_much() -> None:
    """Fifty brackets, and an anchor that a thousand tenants share."""
    tenants = "\n".join(f"t{number}: {{<<: *shared}}" for number in range(1000))

    assert parse_yaml("[" * 50 + "]" * 50)
    assert isinstance(parse_yaml(f"shared: &shared {{limits: [{'{per: user}, ' * 10}]}}\n{tenants}"), dict)
