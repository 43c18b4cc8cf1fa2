"""YAML means what it looks like."""

import json

import pytest

from penstockd.config.yaml_text import NotYaml, parse_yaml


@pytest.mark.parametrize("text", ["off", "no", "on", "yes", "1:30", "2027-01-01", "0x1F", "1_000", ".inf", ".nan", "="])
def test_what_looks_like_text_is_text(text: str) -> None:
    """YAML 1.1's disguises are off."""
    assert parse_yaml(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("010", 10),
        ("-3", -3),
        ("9223372036854775807", 2**63 - 1),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("~", None),
        ("", None),
    ],
)
def test_plain_scalars_have_their_kind(text: str, value: object) -> None:
    """Numbers, switches and nothing are told from text."""
    assert parse_yaml(text) == value


def test_names_are_always_text() -> None:
    """A model may be called 4 or no."""
    assert parse_yaml("{4: a, no: b, true: c, 1.0: [d]}") == {"4": "a", "no": "b", "true": "c", "1.0": ["d"]}


def test_an_anchor_can_be_merged_and_overridden() -> None:
    """What a map says itself wins over what it merges, and an earlier source over a later one."""
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: *a, x: 3}\nd: {<<: [*a, *b]}"

    tree = parse_yaml(text)

    assert isinstance(tree, dict)
    assert tree["c"] == {"x": 3, "y": 1}
    assert tree["d"] == {"x": 1, "y": 1, "z": 2}


@pytest.mark.parametrize(
    ("text", "line", "column", "problem"),
    [
        ("a: 1\nb: 2\na: 3", 3, 1, '"a" is given twice'),
        ("models:\n  fast: {model: a, model: b}", 2, 20, '"model" is given twice'),
        *((f"{name}: 1\n{name}: 2", 2, 1, f'"{name}" is given twice') for name in ("tag", "an alias", "my-anchor")),
        ("? [a]\n: 1", 1, 3, "a name must be text"),
        ("a: !!python/name:os.system x", 1, 4, "means nothing here"),
        ("a: !!int x", 1, 4, "is no int"),
        ("a: !!map x", 1, 4, "is no map"),
        ("{<<: 3}", 1, 6, "<< takes a map"),
        ("a: [1", 1, 6, "expected ',' or ']'"),
        ("a: *b", 1, 4, "this alias means nothing here; put text that begins with * in quotes"),
        ("a: &b", 1, 4, "this anchor is of nothing; put text that begins with & in quotes"),
        ("a: [&b 1, &b 2]", 1, 11, "this anchor means nothing here; put text that begins with & in quotes"),
        ("a: !b c", 1, 4, "this tag means nothing here; put text that begins with ! in quotes"),
        ("a: &a [*a]", 1, 4, "found unconstructable recursive node"),
        ("--- a\n--- b", 2, 1, "expected a single document in the stream, but found another document"),
        ("a: b\nc: \x07", 2, 4, "a character that YAML does not allow"),
        ('a: "\\ud800"', 1, 4, "has one half of a character that is written as two"),
        ('"\\ude00": a', 1, 1, "has one half of a character that is written as two"),
        ('a: "\\UFFFFFFFF"', 1, 7, "a number that is too large"),
    ],
)
def test_what_is_no_yaml_is_refused_where_it_stands(text: str, line: int, column: int, problem: str) -> None:
    """The line and column are those an editor shows."""
    with pytest.raises(NotYaml) as raised:
        parse_yaml(text)

    assert problem in raised.value.problem
    assert (raised.value.line, raised.value.column) == (line, column)


def test_a_character_that_json_writes_as_two_is_one() -> None:
    """JSON is YAML, and by default Python writes emoji so, in names too."""
    assert parse_yaml(json.dumps({"\U0001f600": ["Be kind \U0001f600", "\ufeffa"]})) == {
        "\U0001f600": ["Be kind \U0001f600", "\ufeffa"]
    }


@pytest.mark.parametrize(
    "value",
    [
        *(f"{sign}{rest}" for sign in "*&!%@`|>" for rest in ("hunter2", "hunter2!x", "/hunter2", "<hunter2")),
        "[&hunter2 a, &hunter2 b]",
        "[hunter2",
        "hunter2: a",
        "- hunter2",
        '"hunter2',
        '"\\xhunter2',
        "!!int hunter2",
        "!!float hunter2",
        "!!map hunter2",
        "!!seq hunter2",
        "!<hunter2>",
        "!hunter2! a",
    ],
)
def test_what_is_wrong_is_said_without_the_text_that_stands_there(value: str) -> None:
    """It may be a secret that wants quotes."""
    with pytest.raises(NotYaml) as raised:
        parse_yaml(f"api_key: {value}")

    assert "hunter2" not in raised.value.problem
    assert "'h'" not in raised.value.problem
