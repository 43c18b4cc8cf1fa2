"""Who is believed, and why others are not."""

from collections.abc import Callable

import pytest

from penstockd import api_key
from penstockd.api_key import digest, generate
from penstockd.identity import Identities, Key, Refusal, everyone_is
from penstockd.principal import Principal

PEPPER = "pepper"
WEB, OLD, OTHER = generate(), generate(), generate()
ACME_WEB = Principal(tenant="acme", key="web")
GLOBEX = Principal(tenant="globex", key="app")
ANYBODY = Principal(tenant="default")
NOW = 1000.0


def identities(anonymous: Principal | None = None) -> Identities:
    """Two tenants, of which acme has two keys and two names."""
    return Identities(
        pepper=PEPPER,
        keys=[
            Key(hash=digest(PEPPER, WEB), principal=ACME_WEB),
            Key(hash=digest(PEPPER, OLD), principal=Principal(tenant="acme", key="old"), expires_at=NOW),
            Key(hash=digest(PEPPER, OTHER), principal=GLOBEX),
        ],
        tenants={"spiffe://x/acme": "acme", "acme.svc": "acme", "globex.svc": "globex"},
        anonymous=anonymous,
    )


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_key_says_who_calls(scheme: str) -> None:
    """The scheme's case does not matter, as HTTP has it."""
    assert identities().identify([f"{scheme} {WEB}"], None, NOW) == ACME_WEB


@pytest.mark.parametrize(
    ("authorization", "refusal"),
    [
        ([], Refusal.MISSING),
        ([""], Refusal.MALFORMED),
        (["Bearer"], Refusal.MALFORMED),
        (["Bearer "], Refusal.MALFORMED),
        ([WEB], Refusal.MALFORMED),
        ([f"Basic {WEB}"], Refusal.MALFORMED),
        ([f"Bearer  {WEB}"], Refusal.MALFORMED),
        ([f"Bearer {WEB}, Bearer {WEB}"], Refusal.MALFORMED),
        ([f"Bearer {WEB[:-1]}"], Refusal.MALFORMED),
        ([f"Bearer {digest(PEPPER, WEB)}"], Refusal.MALFORMED),
        ([f"Bearer {'x' * 16000}"], Refusal.MALFORMED),
        ([f"Bearer {WEB[:-1]}{'0' if WEB[-1] != '0' else '1'}"], Refusal.MALFORMED),
        ([f"Bearer {generate()}"], Refusal.UNKNOWN),
        ([f"Bearer {OLD}"], Refusal.EXPIRED),
        ([f"Bearer {WEB}", f"Bearer {WEB}"], Refusal.DOUBLED),
        ([f"Bearer {WEB}", ""], Refusal.DOUBLED),
    ],
)
def test_what_is_no_valid_key_is_not_believed(authorization: list[str], refusal: Refusal) -> None:
    """Each for a reason of its own, which operators count."""
    assert identities().identify(authorization, None, NOW) is refusal


def test_a_key_that_was_shown_is_known_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its digest is made once, however often it is shown, and whatever is shown in between."""
    made: list[str] = []
    digest_of = api_key.digester(PEPPER)

    def digester(_: str) -> Callable[[str], str]:
        def counted(key: str) -> str:
            made.append(key)
            return digest_of(key)

        return counted

    monkeypatch.setattr(api_key, "digester", digester)
    known = identities()
    made.clear()
    for _ in range(3):
        assert known.identify([f"Bearer {WEB}"], None, NOW) == ACME_WEB
        assert known.identify([f"Bearer {OTHER}"], None, NOW) == GLOBEX

    assert made == [WEB, OTHER]


def test_a_key_ends_at_the_moment_it_expires() -> None:
    """Not a second later."""
    assert identities().identify([f"Bearer {OLD}"], None, NOW - 0.001) == Principal(tenant="acme", key="old")
    assert identities().identify([f"Bearer {OLD}"], None, NOW) is Refusal.EXPIRED


def test_a_key_under_another_pepper_is_unknown() -> None:
    """A digest alone lets nobody in."""
    stolen = Identities(
        pepper="other", keys=[Key(hash=digest(PEPPER, WEB), principal=ACME_WEB)], tenants={}, anonymous=None
    )

    assert stolen.identify([f"Bearer {WEB}"], None, NOW) is Refusal.UNKNOWN


def test_who_shows_nothing_is_anonymous_where_that_is_somebody() -> None:
    """A wrong key is still a wrong key."""
    assert identities(ANYBODY).identify([], None, NOW) == ANYBODY
    assert identities(ANYBODY).identify([f"Bearer {generate()}"], None, NOW) is Refusal.UNKNOWN


@pytest.mark.parametrize("sans", [("acme.svc",), ("x", "spiffe://x/acme"), ("acme.svc", "spiffe://x/acme")])
def test_a_certificate_says_which_tenant_calls(sans: tuple[str, ...]) -> None:
    """One of its names is enough, and nobody with one is anonymous."""
    assert identities(ANYBODY).identify([], sans, NOW) == Principal(tenant="acme")


def test_a_key_beside_a_certificate_says_more() -> None:
    """Which key, and what it may."""
    assert identities().identify([f"Bearer {WEB}"], ("acme.svc",), NOW) == ACME_WEB


@pytest.mark.parametrize(
    ("authorization", "sans", "refusal"),
    [
        ([], (), Refusal.CERTIFICATE),
        ([], ("nobody.svc", "ACME.svc"), Refusal.CERTIFICATE),
        ([f"Bearer {WEB}"], ("nobody.svc",), Refusal.CERTIFICATE),
        ([f"Bearer {WEB}"], (), Refusal.CERTIFICATE),
        ([], ("acme.svc", "globex.svc"), Refusal.CONFLICT),
        ([f"Bearer {WEB}"], ("globex.svc",), Refusal.CONFLICT),
        ([f"Bearer {OLD}"], ("acme.svc",), Refusal.EXPIRED),
        ([f"Bearer {generate()}"], ("acme.svc",), Refusal.UNKNOWN),
        ([""], ("acme.svc",), Refusal.MALFORMED),
        ([f"Bearer {WEB}"] * 2, ("acme.svc",), Refusal.DOUBLED),
    ],
)
def test_credentials_that_contradict_each_other_are_not_believed(
    authorization: list[str], sans: tuple[str, ...], refusal: Refusal
) -> None:
    """Neither makes up for the other, and nobody with a certificate is anonymous."""
    assert identities(ANYBODY).identify(authorization, sans, NOW) is refusal


def test_without_tenants_everyone_is_the_same() -> None:
    """Whatever it shows, short of two things at once."""
    identify = everyone_is(ANYBODY)

    assert identify([], None, NOW) == identify(["Bearer x"], None, NOW) == identify([], ("a.svc",), NOW) == ANYBODY
    assert identify(["a", "b"], None, NOW) is Refusal.DOUBLED
