"""YAML means what it looks like."""

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
        ("? [a]\n: 1", 1, 3, "a name must be text"),
        ("a: !!python/name:os.system x", 1, 4, "means nothing here"),
        ("a: !!int x", 1, 4, "is no tag:yaml.org,2002:int"),
        ("{<<: 3}", 1, 6, "<< takes a map"),
        ("a: [1", 1, 6, "expected ',' or ']'"),
        ("a: *b", 1, 4, "found undefined alias"),
        ("a: &a [*a]", 1, 4, "found unconstructable recursive node"),
        ("--- a\n--- b", 2, 1, "expected a single document in the stream, but found another document"),
        ("a: b\nc: \x07", 2, 4, "a character that YAML does not allow"),
    ],
)
def test_what_is_no_yaml_is_refused_where_it_stands(text: str, line: int, column: int, problem: str) -> None:
    """The line and column are those an editor shows."""
    with pytest.raises(NotYaml) as raised:
        parse_yaml(text)

    assert problem in raised.value.problem
    assert (raised.value.line, raised.value.column) == (line, column)
