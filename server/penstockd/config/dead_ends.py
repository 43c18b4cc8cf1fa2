"""What is well formed, and yet lets no ordinary call through: what people should be told before callers find out."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from penstockd.certificate_expiry import expires_at
from penstockd.config.agent_settings import AgentSettings
from penstockd.config.grammar import RateSetting
from penstockd.config.route_settings import RouteSettings
from penstockd.config.settings import Settings
from penstockd.config.tenant_settings import NOBODY_KNOWN, TenantSettings
from penstockd.models.prices import bundled
from penstockd.request import DEFAULTS


def dead_ends(settings: Settings, now: float) -> Iterator[str]:
    """All of them by `now`, unix seconds; shadows bind nobody."""
    yield from _deserted(settings)
    yield from _unpriced(settings)
    yield from _too_large(settings)
    yield from _expired(settings, now)
    yield from _outlived(settings, now)


def _deserted(settings: Settings) -> Iterator[str]:
    """Tenants that nobody can call as."""
    for name, tenant in settings.tenants.items():
        if settings.server.requires_certificates and not tenant.sans:
            yield (
                f"tenants.{name}.sans: none, so that nobody can call as {name}, as with server.tls.client_ca a "
                "caller's certificate says whose it is: list the names of its callers' certificates"
            )
        elif not (tenant.keys or tenant.sans or (name == NOBODY_KNOWN and settings.admits_strangers)):
            yield (
                f"tenants.{name}: nobody can call as {name}, which has neither keys nor sans: give it a key, as "
                "`penstockd keys new` prints it"
            )


def _unpriced(settings: Settings) -> Iterator[str]:
    """Agents whose calls no budget can cover, as nobody knows what they cost."""
    thrifty = {name: its for name, its in settings.tenants.items() if any(not each.shadow for each in its.budgets)}
    for name, agent in settings.agents.items():
        decisive = _decisive(agent.route)
        unpriced = [model for model in decisive if not _has_price(settings, model)]
        refused = next((tenant for tenant, its in thrifty.items() if _may_ask(its, name)), None)
        if refused is not None and len(unpriced) == len(decisive):
            yield (
                f"agents.{name}.route: {', '.join(unpriced)} {'has' if len(unpriced) == 1 else 'have'} no known "
                f"price, so that calls of tenants on a budget, such as {refused}, are PRICE_UNKNOWN: set "
                + ", ".join(f"models.{model}.price" for model in unpriced)
            )


def _too_large(settings: Settings) -> Iterator[str]:
    """Limits of tokens that are less than an agent's output, all of which a call holds, beside its input."""
    for name, tenant in settings.tenants.items():
        asked = {agent: _output(its) for agent, its in settings.agents.items() if _may_ask(tenant, agent)}
        for index, limit in enumerate(tenant.limits):
            if not limit.shadow:
                yield from _too_small(f"tenants.{name}.limits[{index}].tokens", limit.tokens, asked)
    for name, model in settings.models.items():
        asking = {agent: _output(its) for agent, its in settings.agents.items() if name in its.route.names}
        yield from _too_small(f"models.{name}.limits.tokens", model.limits.tokens, asking)


def _expired(settings: Settings, now: float) -> Iterator[str]:
    """Keys that let nobody in any more."""
    today = datetime.fromtimestamp(now, UTC).date()
    for name, tenant in settings.tenants.items():
        for index, key in enumerate(tenant.keys):
            if key.expires is not None and key.expires <= today:
                yield (
                    f"tenants.{name}.keys[{index}].expires: the key {key.name} has ended at the beginning of "
                    f"{key.expires} (UTC) and lets nobody in: remove it, or give it a later date"
                )


def _outlived(settings: Settings, now: float) -> Iterator[str]:
    """A certificate that callers refuse; what cannot be read is told of elsewhere."""
    if settings.server.tls is None:
        return
    cert = settings.server.tls.cert
    try:
        end = expires_at(cert.read_text(errors="replace"))
    except OSError:
        return
    if end <= now:
        ended = f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M} (UTC)"
        yield f"server.tls.cert: the certificate has expired at {ended}, and callers refuse it: renew {cert}"


def _has_price(settings: Settings, model: str) -> bool:
    its = settings.models[model]
    return its.price is not None or bundled(its.model) is not None


def _decisive(route: RouteSettings) -> tuple[str, ...]:
    """The models that every call meets one of first: what is refused for its price is not tried at the next."""
    return route.names[:1] if route.strategy == "priority" else route.names


def _too_small(path: str, limit: RateSetting | None, outputs: Mapping[str, int]) -> Iterator[str]:
    """Whether the limit at `path` is less than what the agent with the most output may take, by agent."""
    largest = max(outputs, key=lambda agent: outputs[agent], default="")
    if limit and limit.count <= outputs.get(largest, 0):
        yield (
            f"{path}: {limit} never allow a call of agent {largest} that names no max_output_tokens, as it "
            f"may take more than {outputs[largest]}: raise it, or lower agents.{largest}.parameters.max_output_tokens"
        )


def _output(agent: AgentSettings) -> int:
    """The output that a call of `agent` may take where it does not say."""
    return agent.parameters.max_output_tokens or DEFAULTS.max_output_tokens or 0


def _may_ask(tenant: TenantSettings, agent: str) -> bool:
    """Whether there are callers of `tenant` whose key, or the lack of one, lets them ask `agent`."""
    return bool(tenant.sans) or not tenant.keys or any(key.agents is None or agent in key.agents for key in tenant.keys)
