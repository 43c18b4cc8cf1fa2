"""The daemon in front of a server of models that nobody here wrote, over both providers."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from peers import peer
from peers.aimock import aimock
from peers.live_daemon import PROGRAMS, Daemons, run
from penstock import AgentClient

QUESTION = "tell me about the river"
STORY = "The river turns the wheel, and the wheel turns the mill."
REFUSAL = {"error": {"message": "Slow down", "type": "rate_limit_error", "code": "rate_limit"}, "status": 429}


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """Where aimock listens."""
    usage = {"prompt_tokens": 21, "completion_tokens": 13, "total_tokens": 34, "input_tokens": 21, "output_tokens": 13}
    answers = {QUESTION: {"content": STORY, "usage": usage}, "too fast": REFUSAL}
    async with aimock(peer("aimock"), tmp_path, answers) as url:
        yield url


async def test_three_variables_of_the_environment_are_enough(url: str, daemons: Daemons) -> None:
    """The same commands as for the echo model answer through it."""
    environ = {"LLM_API_KEY": "x", "LLM_BASE_URL": f"{url}/v1", "LLM_MODEL": "gpt-4"}
    daemon = await daemons.start(environ=environ)
    command, there = PROGRAMS / "penstock", {"PENSTOCK_TARGET": daemon.target}

    whole = await run(command, "call", QUESTION, environ=there)
    streamed = await run(command, "call", QUESTION, "--stream", environ=there)
    _, account, _ = await run(command, "call", QUESTION, "--json", environ=there)

    assert whole == streamed == (0, f"{STORY}\n", "")
    assert json.loads(account)["model_used"] == "llm"


@pytest.mark.parametrize(
    "model",
    [
        pytest.param({"provider": "openai", "base_url": "{url}/v1", "model": "gpt-4o"}, id="openai"),
        pytest.param({"provider": "anthropic", "base_url": "{url}", "model": "claude-sonnet-4"}, id="anthropic"),
    ],
)
async def test_text_and_usage_are_what_it_reported(model: dict[str, str], url: str, daemons: Daemons) -> None:
    """Whole and streamed, the text in pieces as they came."""
    settings = {**model, "base_url": model["base_url"].format(url=url), "api_key": "x"}
    daemon = await daemons.start(models={"theirs": {**settings, "price": {"input": 2, "output": 10}}})

    async with AgentClient(daemon.target) as client:
        whole = await client.process(QUESTION)
        stream = client.stream(QUESTION)
        pieces = [piece async for piece in stream]

    assert (whole.output, "".join(pieces)) == (STORY, STORY)
    for response in (whole, stream.response):
        assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (21, 13, 34)
        assert (response.cost_nanousd, response.cost_estimated) == (21 * 2_000 + 13 * 10_000, False)


async def test_its_refusal_fails_over_to_a_model_that_answers(url: str, daemons: Daemons) -> None:
    """A 429 of theirs is understood as one."""
    models = {
        "theirs": {"provider": "openai", "base_url": f"{url}/v1", "api_key": "x", "model": "gpt-4"},
        "ours": {"provider": "echo"},
    }
    daemon = await daemons.start(models=models)

    async with AgentClient(daemon.target) as client:
        response = await client.process("too fast")

    assert response.output == "too fast"
    assert [(attempt.model, attempt.reason) for attempt in response.attempts] == [
        ("theirs", "rate_limited"),
        ("ours", ""),
    ]
