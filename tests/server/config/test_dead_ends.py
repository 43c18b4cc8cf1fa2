"""What is well formed, and yet lets no ordinary call through, is told of at the start."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fakes.certificates import self_signed
from fakes.config_file import ConfigFile
from peers import peer
from penstockd.certificate_expiry import expires_at
from penstockd.config import cautions

MODELS = """
models:
  own: {provider: openai, base_url: 'http://h', model: own-7b}
  rented: {provider: openai, base_url: 'http://h', model: rented-7b, price: {input: 1, output: 2}}
  known: {provider: openai, base_url: 'http://h', model: gpt-4o-2024-08-06}
"""
BUDGET = "{budgets: [{per: user, usd: 5}]}"
NO_PRICE = (
    "agents.a.route: {model} has no known price, so that calls of tenants on a budget, such as default, are "
    "PRICE_UNKNOWN: set models.{model}.price"
)
PEPPER = {"PENSTOCK_KEY_PEPPER": "a-pepper-of-some-length"}
KEY = "{name: k, hash: 'hmac-sha256:%s', agents: [%s]}"


def agents(**routes: str) -> str:
    """Agents of these routes; `b` is one that any tenant may ask."""
    lines = [f"  {name}: {{route: {route}}}" for name, route in routes.items()]
    return "\n".join(["agents:", *lines, "  b: {route: {models: [known]}}", "default_agent: b", ""])


@pytest.mark.parametrize(
    "route",
    [
        "{models: [own]}",
        "{models: [own, rented]}",
        "{strategy: weighted, models: {own: 1}}",
        "{strategy: least_latency, models: [own]}",
    ],
)
def test_an_agent_whose_price_nobody_knows_refuses_those_on_a_budget(config: ConfigFile, route: str) -> None:
    """Of a route by priority the first model alone: what is refused there is not tried at the next."""
    settings = config.load(MODELS + agents(a=route) + f"tenants: {{default: {BUDGET}}}")

    assert cautions(settings, 0.0) == (NO_PRICE.format(model="own"),)


@pytest.mark.parametrize(
    "route",
    ["{models: [rented, own]}", "{models: [known]}", "{strategy: least_latency, models: [own, rented]}"],
)
def test_a_price_that_is_given_or_bundled_is_enough(config: ConfigFile, route: str) -> None:
    """And a route with a choice has one model that answers."""
    assert cautions(config.load(MODELS + agents(a=route) + f"tenants: {{default: {BUDGET}}}"), 0.0) == ()


def test_every_model_without_a_price_is_named(config: ConfigFile) -> None:
    """Each wants one of its own; the agent is told of once, whoever asks it."""
    pair = MODELS.replace(", price: {input: 1, output: 2}", "")
    route = "{strategy: weighted, models: {own: 1, rented: 1}}"
    other = BUDGET.replace("}]}", "}], keys: [" + KEY % ("0" * 64, "a") + "]}")

    [line] = cautions(config.load(pair + agents(a=route) + f"tenants: {{default: {BUDGET}, u: {other}}}", PEPPER), 0.0)

    assert line.startswith("agents.a.route: own, rented have no known price, ")
    assert line.endswith(": set models.own.price, models.rented.price")


@pytest.mark.parametrize(
    "tenant",
    [
        "{}",
        "{budgets: [{per: tenant, usd: 5, shadow: true}]}",
        "{budgets: [{per: tenant, usd: 5}], keys: [" + KEY % ("0" * 64, "b") + "]}",
        "{limits: [{per: tenant, tokens: 4096/m, shadow: true}]}",
        "{limits: [{per: tenant, tokens: 900/m}], keys: [" + KEY % ("0" * 64, "c") + "]}",
    ],
)
def test_whom_nothing_binds_or_who_may_not_ask_is_no_matter(config: ConfigFile, tenant: str) -> None:
    """Shadows deny nothing, and a key may be for other agents."""
    small = "agents:\n  c: {route: {models: [known]}, parameters: {max_output_tokens: 800}}\n"
    text = MODELS + agents(a="{models: [own]}").replace("agents:\n", small) + f"tenants: {{default: {tenant}}}"

    assert cautions(config.load(text, PEPPER), 0.0) == ()


@pytest.mark.parametrize(
    "callers",
    [
        "keys: [" + KEY % ("0" * 64, "a") + "]",
        "keys: [" + (KEY % ("0" * 64, "")).replace(", agents: []", "") + "]",
        "sans: [t.svc], keys: [" + KEY % ("0" * 64, "b") + "]",
    ],
)
def test_whoever_may_ask_is_enough(config: ConfigFile, callers: str) -> None:
    """By a key that is for this agent or for all, or by a certificate without one."""
    tenant = f"tenants: {{default: {{budgets: [{{per: tenant, usd: 5}}], {callers}}}}}"

    settings = config.load(MODELS + agents(a="{models: [own]}") + tenant, PEPPER)

    assert NO_PRICE.format(model="own") in cautions(settings, 0.0)


@pytest.mark.parametrize(("parameters", "output"), [("", 4096), (", parameters: {max_output_tokens: 1000}", 1000)])
def test_a_token_limit_below_an_agents_output_refuses_whoever_does_not_lower_it(
    config: ConfigFile, parameters: str, output: int
) -> None:
    """All of the output that an answer may have is held at once, and something for its input."""
    text = MODELS + f"agents: {{a: {{route: {{models: [known]}}{parameters}}}}}\n"
    limit = "tenants: {default: {limits: [{per: tenant, requests: 1/s}, {per: user, tokens: %s/m}]}}"

    [line] = cautions(config.load(text + limit % output), 0.0)

    assert line == (
        f"tenants.default.limits[1].tokens: {output}/m never allow a call of agent a that names no max_output_tokens, "
        f"as it may take more than {output}: raise it, or lower agents.a.parameters.max_output_tokens"
    )
    assert cautions(config.load(text + limit % (output + 100)), 0.0) == ()


@pytest.mark.parametrize("route", ["{models: [small]}", "{models: [known, small]}"])
def test_a_model_whose_own_grant_is_below_an_agents_output_is_never_asked(config: ConfigFile, route: str) -> None:
    """Not even where another model of its route fails; agents that do not route to it are no matter."""
    small = "  small: {provider: echo, limits: {tokens: %s/m}}\n"
    text = MODELS + small + f"agents:\n  a: {{route: {route}}}\n  b: {{route: {{models: [known]}}}}\ndefault_agent: b\n"
    more = "agents:\n  c: {route: {models: [small]}, parameters: {max_output_tokens: 100}}\n"

    [line] = cautions(config.load(text % 4096), 0.0)

    assert line == (
        "models.small.limits.tokens: 4096/m never allow a call of agent a that names no max_output_tokens, as it "
        "may take more than 4096: raise it, or lower agents.a.parameters.max_output_tokens"
    )
    assert cautions(config.load(text % 5000), 0.0) == ()
    other = MODELS + small % 200 + more + "  b: {route: {models: [known]}}\ndefault_agent: b\n"
    assert cautions(config.load(other), 0.0) == ()


def test_a_model_without_agents_is_warned_of_for_the_agent_that_is_made_of_it(config: ConfigFile) -> None:
    """The agent `default` has the output of one that says nothing."""
    [line] = cautions(config.load("models: {m: {provider: echo, limits: {tokens: 2000/m}}}"), 0.0)

    assert line.startswith("models.m.limits.tokens: 2000/m never allow a call of agent default ")


OWN_KEY = "{name: k, hash: 'hmac-sha256:%s'%s}"
DESERTED = {
    "keys": "tenants.t: nobody can call as t, which has neither keys nor sans: give it a key, ",
    "tls": "tenants.t.sans: none, so that nobody can call as t, as with server.tls.client_ca ",
}
TLS = "server: {tls: {cert: /dev/null, key: /dev/null, client_ca: /dev/null}}\n"


@pytest.mark.parametrize(
    ("extra", "tenant", "warning"),
    [
        ("environment: staging\n", "{}", DESERTED["keys"]),
        ("environment: production\n", "{}", DESERTED["keys"]),
        ("environment: staging\n" + TLS, "{}", DESERTED["tls"]),
        (TLS, "{keys: [" + OWN_KEY % ("0" * 64, "") + "]}", DESERTED["tls"]),
        ("environment: staging\n", "{keys: [" + OWN_KEY % ("0" * 64, "") + "]}", None),
        (TLS, "{sans: [t.svc]}", None),
        ("", "{}", DESERTED["keys"]),
        ("", "{keys: [" + OWN_KEY % ("0" * 64, "") + "]}", None),
    ],
)
def test_a_tenant_that_nobody_can_call_as_is_told_of(
    config: ConfigFile, extra: str, tenant: str, warning: str | None
) -> None:
    """Where callers need a key it has none, or where they need a certificate it names none."""
    settings = config.load(MODELS + extra + f"tenants: {{t: {tenant}}}", PEPPER)

    assert len(cautions(settings, 0.0)) == bool(warning)
    assert all(each.startswith(warning or "") for each in cautions(settings, 0.0))


@pytest.mark.parametrize(("environment", "is_told"), [("development", False), ("staging", True)])
def test_callers_without_credentials_are_the_tenant_default_in_development_alone(
    config: ConfigFile, environment: str, *, is_told: bool
) -> None:
    """There it needs neither keys nor certificates; elsewhere it is a tenant like any other."""
    warnings = cautions(config.load(MODELS + f"environment: {environment}\ntenants: {{default: }}"), 0.0)

    assert [line.partition(":")[0] for line in warnings] == ["tenants.default"] * is_told


@pytest.mark.parametrize(("now", "is_over"), [(-0.1, False), (0.0, True), (86400.0 * 365, True)])
def test_a_key_that_has_ended_is_told_of(config: ConfigFile, now: float, *, is_over: bool) -> None:
    """From the beginning of its day in UTC on, as calls with it are refused from then on."""
    key = OWN_KEY % ("0" * 64, ", expires: 2027-01-01")
    settings = config.load(MODELS + f"tenants: {{t: {{keys: [{key}]}}}}", PEPPER)

    told = cautions(settings, datetime(2027, 1, 1, tzinfo=UTC).timestamp() + now)

    assert cautions(settings, 0.0) == ()
    assert len(told) == is_over
    assert all(each.startswith("tenants.t.keys[0].expires: the key k has ended at ") for each in told)


@pytest.mark.parametrize(("later", "is_over"), [(-0.1, False), (0.0, True)])
def test_a_certificate_that_has_expired_is_told_of(
    config: ConfigFile, tmp_path: Path, later: float, *, is_over: bool
) -> None:
    """Callers refuse it, and see no more than that."""
    cert, key = self_signed(peer("openssl"), tmp_path)
    settings = config.load(MODELS + f"server: {{tls: {{cert: {cert}, key: {key}}}}}")

    told = cautions(settings, expires_at(cert.read_text(encoding="ascii")) + later)

    assert [each.partition(" at ")[0] for each in told] == ["server.tls.cert: the certificate has expired"] * is_over


def test_a_certificate_that_was_taken_away_is_no_warning(config: ConfigFile, tmp_path: Path) -> None:
    """Whoever needs it tells of that."""
    cert, key = self_signed(peer("openssl"), tmp_path)
    settings = config.load(MODELS + f"server: {{tls: {{cert: {cert}, key: {key}}}}}")
    cert.unlink()

    assert cautions(settings, 0.0) == ()
