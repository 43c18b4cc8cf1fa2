"""A provider is found by the name in the config, or the config is told why not."""

import functools
import re
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType

import pytest

from fakes.asking import ask
from penstockd.call import Call, Completed, Delta
from penstockd.model import Prompt
from penstockd.models.providers.factory import provider_from
from penstockd.outcome import FinishReason


async def answer(call: Call[Prompt], text: str) -> None:
    """Answer with `text`."""
    await call.send(Delta(text))
    await call.send(Completed(finish_reason=FinishReason.STOP))


class Answering:
    """An object that answers."""

    async def __call__(self, call: Call[Prompt]) -> None:
        await answer(call, "object")


def from_settings(name: str, settings: Mapping[str, object]) -> object:
    """A factory that makes a partial function."""
    return functools.partial(answer, text=f"{name} {settings['greeting']}")


@pytest.fixture
def module() -> Iterator[ModuleType]:
    """An importable module, `a_provider`."""
    module = ModuleType("a_provider")
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


async def test_a_factory_gets_its_name_and_settings(module: ModuleType) -> None:
    """What the factory returns answers calls."""
    module.__dict__["factory"] = from_settings

    heard = await ask(provider_from("a_provider:factory", "mine", {"greeting": "hi"}))

    assert heard.text == "mine hi"


async def test_a_provider_may_be_an_object(module: ModuleType) -> None:
    """One with an async __call__."""
    module.__dict__["factory"] = lambda name, settings: Answering()

    assert (await ask(provider_from("a_provider:factory", "mine", {}))).text == "object"


def leave(name: str, settings: Mapping[str, object]) -> object:
    """A factory that ends the process."""
    sys.exit(name)


def interrupt(name: str, settings: Mapping[str, object]) -> object:
    """A factory that takes itself for somebody at a terminal."""
    raise KeyboardInterrupt


def boom(name: str, settings: Mapping[str, object]) -> object:
    """A factory that fails."""
    raise KeyError(name)


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("no_such_module:factory", "cannot import 'no_such_module:factory': ModuleNotFoundError: "),
        ("a_provider:missing", "cannot import 'a_provider:missing': AttributeError: "),
        ("a_provider:number", "a_provider:number is not callable"),
        ("a_provider:boom", "failed: KeyError: 'mine'"),
        ("a_provider:leave", "failed: SystemExit: mine"),
        ("a_provider:interrupt", "failed: KeyboardInterrupt"),
        ("a_provider:plain", "returned a builtin_function_or_method, which is no async callable"),
    ],
)
def test_what_is_no_provider_is_said_clearly(module: ModuleType, reference: str, says: str) -> None:
    """Every mistake in the name, and in what it leads to, is one clear ValueError."""
    module.__dict__.update(number=1, boom=boom, leave=leave, interrupt=interrupt, plain=lambda name, settings: print)

    with pytest.raises(ValueError, match=re.escape(says)):
        provider_from(reference, "mine", {})
