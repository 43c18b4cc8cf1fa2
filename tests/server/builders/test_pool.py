"""The pool is what the settings say, and keeps what they keep."""

from pathlib import Path

import pytest

from fakes.asking import ask
from fakes.certificates import self_signed
from fakes.clock import FakeClock
from fakes.config_file import ConfigFile
from fakes.upstream import Upstream, response
from peers import peer
from penstockd.agent import Directory
from penstockd.builders.pool import PoolBuilder
from penstockd.config import ConfigErrors, Settings
from penstockd.logs.log import Log
from penstockd.model import Price
from penstockd.models.pool import Pool
from penstockd.models.prices import BUNDLED
from penstockd.models.providers.echo import Echo
from penstockd.models.providers.foreign import Foreign
from penstockd.resilience.circuit import State
from penstockd.rules import Rulebook
from penstockd.runtime import Runtime
from penstockd.under_way import UnderWay
from penstockd.upstream import Broken

MODELS = """
models:
  fast:
    provider: openai
    base_url: https://llm.internal/v1
    api_key: k
    model: gpt-4o-mini
    price: {input: 1, cached_input: 0.5, cache_write: 2, output: 4}
    timeouts: {connect: 1s, first_token: 3s, idle: 4s, total: 50s}
    max_in_flight: 7
    limits: {requests: 60/m, tokens: 1000/m}
    headers: {x-team: search}
  strong: {provider: anthropic, api_key: k, model: claude-sonnet-4-20250514}
  local: {provider: echo}
  own: {provider: "test_pool_builder_provider:make", model: unheard-of}
circuit_breaker: {consecutive_failures: 2, open_for: 3s}
"""


def build(settings: Settings, before: Settings | None = None, kept: Pool | None = None) -> Pool:
    """The pool on a fake clock, after one that was `kept` by the settings `before`."""
    return PoolBuilder(settings, clock=FakeClock(), log=Log("test")).build(
        _runtime(before, kept) if before and kept else None
    )


def _runtime(settings: Settings, pool: Pool) -> Runtime:
    """What is in service, as far as its pool."""
    return Runtime(
        settings=settings,
        rulebook=Rulebook({}),
        pool=pool,
        agents=Directory([], default=""),
        endpoints=[],
        under_way=UnderWay(),
    )


@pytest.fixture(autouse=True)
def _provider_module(config: ConfigFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider of the operator's own, where Python finds it."""
    source = "async def answer(call): ...\ndef make(name, settings): return answer\n"
    (config.path.parent / "test_pool_builder_provider.py").write_text(source)
    monkeypatch.syspath_prepend(str(config.path.parent))


def test_a_model_is_what_its_settings_say(config: ConfigFile) -> None:
    """Name, price, places, grants and the breaker's rules."""
    fast = build(config.load(MODELS)).models["fast"]

    assert (fast.name, fast.provider, fast.upstream_name) == ("fast", "openai", "gpt-4o-mini")
    assert fast.price == Price(
        input=1_000_000_000, cached_input=500_000_000, cache_write=2_000_000_000, output=4_000_000_000
    )
    assert fast.permits.limit == 7
    assert fast.allowance.requests
    assert fast.allowance.requests.remaining == 60
    assert fast.allowance.tokens
    assert fast.allowance.tokens.remaining == 1000
    assert dict(fast.grants) == {"requests": "60/m", "tokens": "1000/m"}
    for _ in range(2):
        ticket = fast.breaker.admit()
        assert ticket
        fast.breaker.failed(ticket, "test")
    assert fast.breaker.state is State.OPEN


def test_a_model_without_settings_has_defaults(config: ConfigFile) -> None:
    """The bundled price of its name, no grants; a name nobody knows has no price."""
    models = build(config.load(MODELS)).models

    assert models["strong"].price == BUNDLED["claude-sonnet-4"]
    assert models["strong"].allowance.requests is None
    assert models["strong"].allowance.tokens is None
    assert dict(models["strong"].grants) == {}
    assert models["local"].price == BUNDLED["echo"]
    assert models["own"].price is None


def test_every_kind_of_provider_is_made(config: ConfigFile) -> None:
    """Built in, over HTTP, or the operator's own."""
    providers = build(config.load(MODELS)).providers

    assert isinstance(providers["local"], Echo)
    assert isinstance(providers["own"], Foreign)
    assert providers["fast"] is not providers["strong"]


ADDING = """
models:
  a: {provider: "${PROVIDER}", base_url: "${URL}", api_key: k, model: m, body: {effort: [low]}}
"""


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_a_model_is_asked_with_what_its_settings_add(config: ConfigFile, provider: str) -> None:
    """In the body of each request."""
    async with Upstream() as upstream:
        upstream.answer(response(b"{}", status=500))
        pool = build(config.load(ADDING, {"PROVIDER": provider, "URL": upstream.url}))

        with pytest.raises(Broken):
            await ask(pool.models["a"].answer)
        await pool.close()

        [request] = upstream.requests
        assert isinstance(request.json, dict)
        assert request.json["effort"] == ["low"]


def test_a_reload_keeps_what_has_not_changed(config: ConfigFile) -> None:
    """A model of the same definition keeps its breaker, its places and its connections."""
    before = config.load(MODELS)
    kept = build(before)

    pool = build(config.load(MODELS.replace("max_in_flight: 7", "max_in_flight: 8")), before, kept)

    assert pool.models["strong"] is kept.models["strong"]
    assert pool.providers["strong"] is kept.providers["strong"]
    assert pool.models["fast"] is not kept.models["fast"]
    assert pool.models["fast"].permits.limit == 8


@pytest.mark.parametrize(
    "change", [("open_for: 3s", "open_for: 4s"), ("circuit_breaker", "retry: {budget: 0.2}\ncircuit_breaker")]
)
def test_new_rules_make_new_models(config: ConfigFile, change: tuple[str, str]) -> None:
    """A breaker and a retry budget know one set of rules each."""
    before = config.load(MODELS)
    kept = build(before)

    pool = build(config.load(MODELS.replace(*change)), before, kept)

    assert not pool.models.keys() - kept.models.keys()
    assert all(pool.models[name] is not kept.models[name] for name in pool.models)


def test_a_model_that_an_operator_disabled_stays_so_whatever_a_reload_changes(config: ConfigFile) -> None:
    """Its circuit begins anew, and one that was enabled again stays that."""
    before = config.load(MODELS)
    kept = build(before)
    kept.models["fast"].breaker.disable()

    changed = config.load(MODELS.replace("open_for: 3s", "open_for: 4s"))
    pool = build(changed, before, kept)
    assert not pool.models["fast"].breaker.is_enabled
    pool.models["fast"].breaker.enable()
    again = build(before, changed, pool)

    assert pool.models["strong"].breaker.is_enabled
    assert pool.models["fast"].breaker.state is State.CLOSED
    assert again.models["fast"].breaker.is_enabled


def test_every_provider_that_cannot_be_made_is_named(config: ConfigFile) -> None:
    """All of them at once, by their paths."""
    settings = config.load("""
        models:
          a: {provider: "nowhere.to_be:found", model: x}
          b: {provider: echo}
          c: {provider: "json:nothing", model: x}
        """)

    with pytest.raises(ConfigErrors) as raised:
        build(settings)

    assert [error.path for error in raised.value.errors] == ["models.a.provider", "models.c.provider"]


PRIVATE = """
models:
  a: {provider: openai, base_url: "https://llm.internal/v1", model: x, ca: ca.pem}
  b: {provider: anthropic, base_url: "http://llm.internal", api_key: k, model: x, ca: ca.pem}
"""


@pytest.fixture
def ca(config: ConfigFile, tmp_path: Path) -> Path:
    """The file of certificates that PRIVATE's models trust."""
    cert, _ = self_signed(peer("openssl"), tmp_path)
    return cert.rename(config.path.parent / "ca.pem")


def test_a_ca_without_certificates_is_a_mistake(config: ConfigFile, ca: Path) -> None:
    """It is found before there is a call, for whoever asks whether the configuration is right, too."""
    ca.write_text("no certificate")

    with pytest.raises(ConfigErrors) as raised:
        build(config.load(PRIVATE))

    assert [error.path for error in raised.value.errors] == ["models.a.ca", "models.b.ca"]
    assert raised.value.errors[0].message.startswith("must be a file of PEM certificates: ")


def test_a_reload_takes_a_ca_that_has_changed(config: ConfigFile, ca: Path, tmp_path: Path) -> None:
    """The path is the same; whoever is trusted by it is not. What is known of the model itself stays."""
    before = config.load(PRIVATE)
    kept = build(before)
    assert build(config.load(PRIVATE), before, kept).providers == kept.providers

    self_signed(peer("openssl"), tmp_path, "other")[0].rename(ca)
    pool = build(config.load(PRIVATE), before, kept)

    assert all(pool.providers[name] is not kept.providers[name] for name in "ab")
    assert all(pool.models[name].answer is not kept.models[name].answer for name in "ab")
    assert all(pool.models[name].breaker is kept.models[name].breaker for name in "ab")
    assert all(pool.models[name].permits is kept.models[name].permits for name in "ab")


def test_a_reload_refuses_a_ca_that_has_become_none(config: ConfigFile, ca: Path) -> None:
    """Models that nobody changed are no exception."""
    before = config.load(PRIVATE)
    kept = build(before)
    ca.write_text("no certificate")

    with pytest.raises(ConfigErrors):
        build(config.load(PRIVATE), before, kept)
