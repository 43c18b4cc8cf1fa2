"""No secret is written, whoever lets it slip and however it is spelled there."""

import json
from urllib.parse import quote

import pytest

from penstockd.api_key import generate
from penstockd.logs.redaction import MASK, Redaction

SECRET = 'no"common\\word'


@pytest.fixture
def redaction() -> Redaction:
    """One that was told a secret."""
    redaction = Redaction()
    redaction.hide([SECRET, "x", "provider-key-1"])
    return redaction


@pytest.mark.parametrize("spelled", [SECRET, json.dumps(SECRET)[1:-1], quote(SECRET, safe="")])
def test_a_known_secret_is_masked_however_it_is_spelled(redaction: Redaction, spelled: str) -> None:
    """As it is, within JSON, within a URL."""
    assert redaction(f"it said {spelled}, twice: {spelled}") == f"it said {MASK}, twice: {MASK}"


def test_a_secret_that_may_be_a_part_of_any_word_is_none(redaction: Redaction) -> None:
    """`LLM_API_KEY=x` must not make the log unreadable."""
    assert redaction("exactly\n") == "exactly\n"


def test_a_secret_within_another_does_not_uncover_it() -> None:
    """The longest is looked for first."""
    redaction = Redaction()
    redaction.hide(["password1", "password1-and-more"])

    assert redaction("password1-and-more") == MASK


def test_yesterdays_secrets_are_still_masked_after_a_reload(redaction: Redaction) -> None:
    """Calls that came before may still be using them; those of the day before yesterday are forgotten."""
    redaction.hide(["provider-key-2"])
    assert redaction("provider-key-1 provider-key-2") == f"{MASK} {MASK}"

    redaction.hide(["provider-key-3"])
    assert redaction("provider-key-1 provider-key-2 provider-key-3") == f"provider-key-1 {MASK} {MASK}"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"who is {generate()}?", f"who is {MASK}?"),
        ("Incorrect API key provided: sk-proj-abcdefghijkl.", f"Incorrect API key provided: {MASK}."),
        ("Bearer abcdefgh and BEARER abcdefgh", f"Bearer {MASK} and BEARER {MASK}"),
        ("authorization: Basic dXNlcjpwYXNz", f"authorization: Basic {MASK}"),
        ('{"Authorization": "Bearer abcdefgh", "a": 1}', f'{{"Authorization": "Bearer {MASK}", "a": 1}}'),
        (r"{\"x-api-key\": \"abcdefgh\"}", rf"{{\"x-api-key\": \"{MASK}\"}}"),
        ("(('authorization', b'Bearer abcdefgh'), ('a', 'b'))", f"(('authorization', b'Bearer {MASK}'), ('a', 'b'))"),
        ("api_key=abcdefgh&b=1", f"api_key={MASK}"),
    ],
)
def test_what_looks_like_a_credential_is_masked(text: str, masked: str) -> None:
    """Though nobody told of it."""
    assert Redaction()(f"before\n{text}\n") == f"before\n{masked}\n"


@pytest.mark.parametrize(
    "text",
    [
        "a task-force of the asking kind",
        "the bearer of it",
        "pk_",
        "authorization is required",
        '{"message":"plain"}',
        "changed: models.fast.api_key, models.slow.api_key",
        '{"subject":"user:default/api_key","tenant":"default"}',
        '{"subject": "user:default/authorization", "tenant": "default"}',
    ],
)
def test_what_does_not_is_left_alone(text: str) -> None:
    """Words are words."""
    assert Redaction()(text) == text
