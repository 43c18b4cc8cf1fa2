"""The callers of a configuration."""

from datetime import UTC, datetime

import pytest

from fakes.config_file import ConfigFile
from penstockd.api_key import digest, generate
from penstockd.builders.identities import identify
from penstockd.identity import Refusal
from penstockd.principal import KeyRole, Principal

PEPPER = {"PENSTOCK_KEY_PEPPER": "pepper"}
MODEL = "models: {m: {provider: openai, base_url: 'http://h', model: m}}\n"
WEB, ADMIN = generate(), generate()
TENANTS = f"""
    agents: {{support: {{}}, research: {{}}}}
    default_agent: support
    tenants:
      acme:
        keys:
          - {{name: web, hash: "{digest("pepper", WEB)}", expires: 2027-01-01, agents: [support, model/m]}}
          - {{name: admin, hash: "{digest("pepper", ADMIN)}", role: operator}}
        sans: [acme.svc]
"""
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC).timestamp()


def test_a_key_has_its_tenant_name_role_and_agents(config: ConfigFile) -> None:
    """All that is said of it."""
    who = identify(config.load(MODEL + TENANTS.replace("\n    ", "\n"), PEPPER))

    web = Principal(tenant="acme", key="web", agents=frozenset({"support", "model/m"}))
    assert who([f"Bearer {WEB}"], None, NEW_YEAR - 1) == web
    assert who([f"Bearer {ADMIN}"], None, NEW_YEAR) == Principal(tenant="acme", key="admin", role=KeyRole.OPERATOR)
    assert who([], ("acme.svc",), NEW_YEAR) == Principal(tenant="acme")


def test_a_key_expires_when_its_day_begins(config: ConfigFile) -> None:
    """In UTC, whatever the machine's zone."""
    who = identify(config.load(MODEL + TENANTS.replace("\n    ", "\n"), PEPPER))

    assert who([f"Bearer {WEB}"], None, NEW_YEAR) is Refusal.EXPIRED


def test_development_without_tenants_serves_everyone(config: ConfigFile) -> None:
    """As the tenant default, and lets them steer the pool."""
    who = identify(config.load(MODEL))

    assert who([], None, 0) == who(["Bearer x"], None, 0) == Principal(tenant="default", role=KeyRole.OPERATOR)


def test_a_default_tenant_is_who_shows_nothing_in_development(config: ConfigFile) -> None:
    """Its keys are its own; strangers are no operators."""
    who = identify(config.load(MODEL + "tenants: {default: {}}"))

    assert who([], None, 0) == Principal(tenant="default")
    assert who([f"Bearer {WEB}"], None, 0) is Refusal.UNKNOWN


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("tenants: {acme: {}}", "development"),
        ("tenants: {default: {}}", "staging"),
        ("tenants: {default: {}}", "production"),
    ],
)
def test_nobody_else_is_admitted_without_credentials(config: ConfigFile, text: str, environment: str) -> None:
    """A tenant's name opens nothing where strangers may be about."""
    who = identify(config.load(MODEL + text, {"ENVIRONMENT": environment}))

    assert who([], None, 0) is Refusal.MISSING
