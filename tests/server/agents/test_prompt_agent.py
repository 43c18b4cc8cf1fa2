"""An agent that is nothing but instructions makes one model call."""

import pytest

from fakes.calls import PROCESS, STREAM, Inner, a_call
from fakes.clock import FakeClock
from fakes.scripted_model import ScriptedModel
from penstockd.agents.prompt_agent import PromptAgent
from penstockd.call import Method
from penstockd.models.route import Route, priority
from penstockd.request import Parameters, Request, Role, Turn

MODEL = ScriptedModel("a", clock=FakeClock()).model


def agent(ask: Inner) -> PromptAgent:
    """A terse agent."""
    return PromptAgent(
        name="support",
        description="Answers.",
        instructions="Be terse.",
        route=Route([MODEL], priority),
        parameters=Parameters(temperature=0.2, max_output_tokens=800, seed=7),
        ask=ask,
        caching=None,
        fingerprint="",
    )


@pytest.mark.parametrize("method", [PROCESS, STREAM])
async def test_one_request_becomes_one_prompt(method: Method) -> None:
    """Instructions, history, then the input; streamed if the caller's call is."""
    ask = Inner()
    history = (Turn(Role.USER, "hi"), Turn(Role.ASSISTANT, "hello"))
    request = Request(agent="support", input="and?", history=history, parameters=Parameters(temperature=0.0))

    await agent(ask)(a_call(request, method=method))

    (call,) = ask.calls
    assert call.request.instructions == "Be terse."
    assert call.request.turns == (*history, Turn(Role.USER, "and?"))
    assert call.request.parameters == Parameters(temperature=0.0, seed=7, max_output_tokens=800)
    assert call.request.streams is method.streams
    assert call.request.route.models == [MODEL]


def test_it_describes_itself() -> None:
    """By the models of its route; it always streams."""
    support = agent(Inner())

    assert support.models == ["a"]
    assert support.streams
