"""Models of a configuration that ask an upstream of a test."""

from fakes.upstream import Upstream


def openai(upstream: Upstream, **settings: object) -> dict[str, object]:
    """A model that speaks OpenAI's dialect."""
    return {"provider": "openai", "base_url": upstream.url, "model": "gpt", **settings}


def anthropic(upstream: Upstream, **settings: object) -> dict[str, object]:
    """A model that speaks Anthropic's dialect."""
    return {"provider": "anthropic", "base_url": upstream.url, "model": "claude", "api_key": "k", **settings}
