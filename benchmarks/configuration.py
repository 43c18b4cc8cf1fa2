"""What a measured daemon is told: how it comes, or everything on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstockd.api_key import SAMPLE_KEY, SAMPLE_PEPPER, digest

KEY = SAMPLE_KEY
"""What callers show; a daemon without tenants does not look at it."""

_AS_IT_COMES = """
models:
  fast: {{provider: openai, base_url: "{upstream}/fast/v1", api_key: key, model: gpt-4, {price}}}
  paced: {{provider: openai, base_url: "{upstream}/paced/v1", api_key: key, model: gpt-4, {price}}}
  echo: {{provider: echo, {price}}}
agents:
  fast: {{instructions: "", route: {{models: [fast]}}}}
  paced: {{instructions: "", route: {{models: [paced]}}}}
  echo: {{instructions: "", route: {{models: [echo]}}}}
default_agent: fast
server: {{listen: "127.0.0.1:0"}}
admin: {{listen: "127.0.0.1:0"}}
"""
_PRICE = "price: {input: 30, output: 60}"
# Far beyond what a run reaches: it is not refusals that are measured.
_TENANT = """
key_pepper: "{pepper}"
tenants:
  shop:
    keys: [{{name: web, hash: "{hash}"}}]
    limits:
      - {{per: tenant, requests: 1000000/s, tokens: 100000000000/s, concurrency: 100000}}
      - {{per: user, requests: 1000000/s, tokens: 100000000000/s, concurrency: 100000}}
    budgets:
      - {{per: tenant, usd: 100000000, period: month}}
      - {{per: user, usd: 100000000, period: day}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The text of the file, and the environment variables."""

    text: str
    environment: Mapping[str, str] = field(default_factory=dict)


def as_it_comes(upstream: str) -> Configuration:
    """Models, and nothing else: breaker, cache, ledger, metrics and access log are on by themselves."""
    return Configuration(text=_AS_IT_COMES.format(upstream=f"http://{upstream}", price=_PRICE))


def nothing_kept(upstream: str) -> Configuration:
    """As it comes, but without the cache: on a daemon without a ledger, the chain alone."""
    return Configuration(text=f"{as_it_comes(upstream).text}cache: {{enabled: false}}\n")


def everything_on(upstream: str, collector: str) -> Configuration:
    """Besides, a tenant with a key, limits and budgets, and traces of every tenth call, sent to `collector`."""
    tenant = _TENANT.format(pepper=SAMPLE_PEPPER, hash=digest(SAMPLE_PEPPER, KEY))
    return Configuration(
        text=as_it_comes(upstream).text + tenant,
        environment={
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector}",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.1",
        },
    )
