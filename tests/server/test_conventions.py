"""Names that look like OpenTelemetry's are OpenTelemetry's."""

from collections.abc import Iterator
from types import ModuleType

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes, rpc_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics, rpc_metrics
from opentelemetry.semconv.attributes import error_attributes

from penstockd import conventions

PUBLISHED_IN = (error_attributes, gen_ai_attributes, gen_ai_metrics, rpc_attributes, rpc_metrics)
NEWER: dict[str, str] = {}
"""Names that are newer than the installed package, and where they are published."""


def texts(module: ModuleType) -> Iterator[str]:
    """Every constant of a module that is text."""
    return (value for value in vars(module).values() if isinstance(value, str))


PUBLISHED = {text for module in PUBLISHED_IN for text in texts(module)} | NEWER.keys()
OURS = [
    value for name, value in vars(conventions).items() if name.isupper() and isinstance(value, str) and "." in value
]


@pytest.mark.parametrize("name", [name for name in OURS if not name.startswith("penstock.")])
def test_a_borrowed_name_is_published(name: str) -> None:
    """In the conventions' own package, or where the list above says."""
    assert name in PUBLISHED


def test_all_other_names_are_in_a_namespace_of_our_own() -> None:
    """None of them can become a published name with another meaning."""
    assert {name.partition(".")[0] for name in OURS} == {"error", "gen_ai", "penstock", "rpc"}
