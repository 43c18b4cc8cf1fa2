"""The quick way to read YAML says what the careful way says, or nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstockd.config import yaml_quick
from penstockd.config.yaml_quick import Unusual, read_quickly
from penstockd.config.yaml_text import NotYaml, parse_yaml, read_with_care

WHOLE = (
    "a: 1\nb: [x, {y: z}]\nc:\n  - d\n  - e: f\n    g: |\n      text\n      more\n",
    "m: &a {x: 1, 'y': \"z\"}\nn:\n  <<: *a\n  k: >-\n    folded\n    text\n",
    "- &a [1, ~]\n- b: c\n  d: *a\n-\n  - f\n",
    '{a: b, c: [d, e], "f":g}',
)
PIECES = (
    *(
        "a",
        "b",
        "1",
        "-1",
        "1.5",
        "true",
        "~",
        "<<",
        "é",
        "http://a:1/b",
        "${X}",
        "a b",
        "a:b",
        "0x1",
        "=",
        "%",
        "@",
        "`",
    ),
    *(": ", ":", ", ", ",", "[", "]", "{", "}", "- ", "-", "? ", "?", "\n", "\n  ", "\n    ", " ", "\t", "\r", "\x07"),
    *('"', "'", '"x"', "'y'", "''", "\\", "\\n", "\\x41", "\\ud83d\\ude00", "\\ud800", "\x85", "\u2028", "\ufeff"),
    *("&a ", "*a", "&b", "*b ", "<<: *a", "!", "!!str ", "!x ", "#", " # c", "|", "|\n  ", ">\n  ", "|-", "|2", "|+\n"),
    *("%YAML 1.2\n", "---", "\n---\n", "\n...\n", "? a\n: b", "a: &a {x: 1}\n", "b: *a\n", "a: ", "\U0001f600"),
)
PATCHED = st.builds(
    lambda text, at, gone, piece: text[: int(at * len(text))] + piece + text[int(at * len(text)) + gone :],
    st.sampled_from(WHOLE),
    st.floats(0, 1),
    st.integers(0, 5),
    st.sampled_from(("", *PIECES)),
)


@settings(max_examples=500, deadline=None)
@given(text=st.one_of(PATCHED, st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.text()))
def test_both_ways_mean_the_same(text: str) -> None:
    """Whatever the quick way takes, the careful way takes too, with the same names in the same order."""
    try:
        value = read_quickly(text)
    except Unusual:
        return

    assert repr(read_with_care(text)) == repr(value)


@pytest.mark.parametrize(
    "text",
    [
        "a:\tb",
        "\ufeff\ufeff",
        "|#",
        "{a?b: c}",
        "%YAML 1.1\n---\na",
        "a: !!str 1",
        "{a: &a {b: &a 1}}",
        "a: &a [*a]",
        "a: *b",
        "a: &b",
        "{a: 1, a: 2}",
        "? [a]\n: 1",
        "{<<: 3}",
        "a\n---\nb",
        '"\\ud83d\\ude00"',
        "[" * 65 + "]" * 65,
        "a: [",
    ],
)
def test_what_may_be_wrong_or_read_otherwise_is_left_to_care(text: str) -> None:
    """The careful way alone says what is wrong, and where."""
    with pytest.raises(Unusual):
        read_quickly(text)


@pytest.mark.parametrize("text", WHOLE)
def test_what_most_files_are_made_of_is_read_quickly(text: str) -> None:
    """Anchors and merged maps too."""
    assert read_quickly(text) == read_with_care(text)


def test_a_pyyaml_without_libyaml_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """It means the same, and says the same of what is wrong."""
    monkeypatch.setattr(yaml_quick, "CParser", None)

    assert parse_yaml("a: [1, b]") == {"a": [1, "b"]}
    with pytest.raises(NotYaml, match="is given twice"):
        parse_yaml("{a: 1, a: 2}")


def test_a_large_file_is_read_quickly_however_it_shares() -> None:
    """Ten thousand tenants: seconds of care would be a start that somebody waits for."""
    tenants = "\n".join(f"  t{number}: {{<<: *shared, limits: [{{per: user}}]}}" for number in range(10_000))

    assert isinstance(read_quickly(f"shared: &shared {{keys: []}}\ntenants:\n{tenants}"), dict)
