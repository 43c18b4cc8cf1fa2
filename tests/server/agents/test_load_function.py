"""A Python agent is found by the name in the config, or the config is told why not."""

import inspect
import re
from pathlib import Path

import pytest

from fakes.module_file import module_file
from imported import agent_functions
from penstockd.agents.python_agent import load_function


@pytest.mark.parametrize("name", ["takes_three_at_will", "gives_three"])
def test_what_two_arguments_are_enough_for_is_an_agent(name: str) -> None:
    """A default stands in for more, and so does a decorator, whatever it wraps takes."""
    assert load_function(f"imported.agent_functions:{name}") is getattr(agent_functions, name)


@pytest.mark.parametrize("name", ["replies", "yields"])
def test_a_function_is_loaded_by_its_path(name: str) -> None:
    """Coroutine functions and async generator functions are agents."""
    loaded = load_function(f"imported.agent_functions:{name}")

    assert inspect.unwrap(loaded) is getattr(agent_functions, name)


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("imported.agent_functions:plain", "neither an `async def` function nor an async generator"),
        ("imported.agent_functions:NOT_CALLABLE", "neither an `async def` function nor an async generator"),
        (
            "imported.agent_functions:takes_one",
            "must take two arguments, the request and its context: too many positional arguments",
        ),
        ("imported.agent_functions:takes_three", "the request and its context: missing a required argument: 'more'"),
        ("imported.agent_functions:takes_a_name", "the request and its context: missing a required "),
        ("imported.agent_functions:missing", "has no attribute 'missing'"),
        ("fakes.nowhere:run", "No module named 'fakes.nowhere'"),
        ("imported.agent_functions", "cannot import"),
        ("", "cannot import"),
    ],
)
def test_what_cannot_be_loaded_says_why(path: str, complaint: str) -> None:
    """One ValueError with the path and the reason, whatever the module raised."""
    with pytest.raises(ValueError, match=r".") as raised:
        load_function(path)

    assert complaint in str(raised.value)


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ('raise RuntimeError("the database is down")', "RuntimeError: the database is down"),
        ("sys.exit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_what_a_module_raises_as_it_is_imported_is_said(
    statement: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be it an exit: the daemon stays."""
    monkeypatch.syspath_prepend(tmp_path)
    path = module_file(tmp_path, statement)

    with pytest.raises(ValueError, match=re.escape(f"cannot import {path!r}: {complaint}")):
        load_function(path)
