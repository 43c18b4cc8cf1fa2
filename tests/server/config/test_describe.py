"""The effective configuration can be shown."""

import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.config_file import ConfigFile
from penstockd.config import describe

FULL = """
    environment: staging
    default_agent: support
    models:
      fast:
        provider: openai
        base_url: http://h/v1
        model: m
        price: {input: 0.15, cached_input: 0.0000001, output: 3}
        timeouts: {connect: 250ms}
        limits: {requests: 500/m}
      other: {provider: echo}
    routes: {both: {strategy: weighted, models: {fast: 3, other: 0.5}}}
    agents:
      support: {instructions: "Say $${X} and 'no': ü", route: both, cache: off, parameters: {stop: [a, "off"]}}
      other: {python: "a.b:c", route: {models: [fast, other]}}
    tenants: {default: {}}
    server: {listen: "[::1]:1", drain_delay: 90s, max_message_bytes: 5MiB, tls: {cert: /dev/null, key: /dev/null}}
"""


def test_what_is_shown_loads_as_the_same_settings(config: ConfigFile) -> None:
    """Units, escapes and quotes included."""
    loaded = config.load(FULL)

    again = config.load(describe(loaded))

    assert dict(again) == dict(loaded)


NUMBERS = st.from_regex(r"[-+]?[0-9]{0,20}\.?[0-9]{0,3}([eE][-+]?[0-9]{1,3})?", fullmatch=True)
WORDS = st.sampled_from(
    [
        "a\nb",
        "a\n\n b\n",
        "# a\n- b: c\n\n",
        "---\na\n...\n",
        "yes",
        "No",
        "on",
        "y",
        "null",
        "~",
        "=",
        "<<",
        "True",
        "1:30",
        "1_000",
        "0x1f",
        ".inf",
        "2027-01-01",
        "-",
        "?",
    ]
)
TEXTS = (
    st.text(max_size=200)
    | st.text(alphabet="a0 .:#-'\"\\\n\r\t\x00\x7f\x85\xa0\u2028\u2029\ufeff\U0001f600${}[]&*!|>%@`", max_size=200)
    | NUMBERS
    | WORDS
)


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_every_text_loads_as_itself(text: str) -> None:
    """Whatever it looks like, and as a name too; first as JSON writes it, then as it is shown."""
    escaped = text.replace("${", "$${")
    name = text[:80]  # YAML takes no longer ones, each character of which JSON may write as twelve
    body = {"b": {name: escaped}} if name != "<<" else {}
    agent = {"instructions": escaped, "description": escaped, "parameters": {"stop": [escaped or "x"]}}
    tree = {"models": {"1e5": {"provider": "echo", "model": escaped, "body": body}}, "agents": {"1": agent}}
    with tempfile.TemporaryDirectory() as directory:
        config = ConfigFile(Path(directory))

        loaded = config.load(json.dumps(tree))
        again = config.load(describe(loaded))

    assert loaded.agents["1"].instructions == text
    assert dict(again) == dict(loaded)


def test_text_that_another_yaml_takes_for_a_number_is_in_quotes(config: ConfigFile) -> None:
    """What is shown may be read by others, who know hexadecimal and switches."""
    shown = describe(config.load("models: {a: {provider: echo, body: {a: '0x1f', b: 'yes', c: '1:30', d: '08'}}}"))

    assert all(f"'{text}'" in shown for text in ("0x1f", "yes", "1:30", "08"))


def test_text_of_several_lines_is_shown_in_lines(config: ConfigFile) -> None:
    """As people write instructions, unless there is something in them that cannot be seen."""
    agents = {
        "a": {"instructions": "Be kind:\n  always.\n\nSay \u201cü\u201d"},
        "b": {"instructions": "tab\there\nend"},
    }

    shown = describe(config.load(json.dumps({"default_agent": "a", "agents": agents})))

    assert "instructions: |-\n      Be kind:\n        always.\n\n      Say \u201cü\u201d\n" in shown
    assert 'instructions: "tab\\there\\nend"' in shown


def test_secrets_are_masked(config: ConfigFile) -> None:
    """All of them, and the file still loads."""
    loaded = config.load("""
        models:
          m: {provider: openai, model: m, api_key: hunter2, headers: {a: hunter2}, proxy: "http://u:hunter2@h:1"}
        admin: {token: hunter2}
    """)

    shown = describe(loaded)

    assert "hunter2" not in shown
    assert config.load(shown).models["m"].model == "m"


def test_what_is_written_once_in_memory_is_written_out(config: ConfigFile) -> None:
    """No anchors for people to follow."""
    shown = describe(config.load(FULL))

    assert "&id" not in shown
    assert "drain_delay: 90s" in shown
    assert "max_message_bytes: 5MiB" in shown
