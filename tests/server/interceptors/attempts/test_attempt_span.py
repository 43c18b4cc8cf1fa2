"""Every attempt of a sampled call is a span that says what was asked of whom, why again, and what came of it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from fakes.model_calls import Asked, ModelCalls
from fakes.scripted_model import HANGS, ScriptedModel
from fakes.telescope import Telescope
from penstockd.call import Call, Completed
from penstockd.errors import BudgetExhausted
from penstockd.interceptors.attempts.attempt_span import LONGEST_NAME
from penstockd.model import Prompt
from penstockd.outcome import FinishReason
from penstockd.resilience.breaker import CircuitBreaker
from penstockd.upstream import Broken
from penstockd.usage import Usage

USAGE = Usage(uncached_input=7, cached_input=5, cache_write_input=2, output=11, reasoning=3)


class Scene:
    """Scripted models asked within a sampled call, and the spans of it."""

    def __init__(self, *, captures_content: bool = False) -> None:
        self.calls = ModelCalls()
        self.telescope = Telescope()
        self._tracing = self.telescope.tracing(captures_content=captures_content)

    def ask(self, *models: ScriptedModel, cancelled_after: float | None = None, **options: Any) -> Asked:  # noqa: ANN401
        """Make one call of `models`."""

        async def traced() -> Asked:
            trace = self._tracing.begin("call", None, {})
            assert trace is not None
            with trace:
                if cancelled_after is None:
                    return await self.calls.ask(*models, **options)
                return await self.calls.cancelled(*models, after=cancelled_after, **options)

        return self.calls.run(traced())

    @property
    def attempts(self) -> list[ReadableSpan]:
        """The spans of attempts."""
        return [span for span in self.telescope.spans if span.name.startswith("chat ")]

    @property
    def events(self) -> list[tuple[str, dict[str, object]]]:
        """What was noted on the server span."""
        return [(event.name, dict(event.attributes or {})) for event in self.telescope.span("call").events]


@pytest.fixture
def scene() -> Scene:
    """One that keeps content to itself."""
    return Scene()


def test_an_attempt_says_what_was_asked_and_answered(scene: Scene) -> None:
    """By the names of the conventions; its time is the model's, its parent the call."""
    scene.ask(scene.calls.model("a", [0.5, "hello", USAGE, 1.0]))

    (span,) = scene.attempts
    assert (span.name, span.kind, span.parent) == (
        "chat a-upstream",
        SpanKind.CLIENT,
        scene.telescope.span("call").context,
    )
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "a-upstream",
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.stream": True,
        "penstock.model": "a",
        "penstock.attempt": 1,
        "gen_ai.usage.input_tokens": 14,
        "gen_ai.usage.output_tokens": 11,
        "gen_ai.usage.cache_read.input_tokens": 5,
        "gen_ai.usage.cache_creation.input_tokens": 2,
        "gen_ai.usage.reasoning.output_tokens": 3,
        "penstock.usage.estimated": False,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 0.5,
    }
    assert span.status.status_code is StatusCode.UNSET


def test_a_priced_attempt_says_what_it_cost_and_which_model_it_was(scene: Scene) -> None:
    """In the provider's words, as far as these are of any length that a name has."""
    model = scene.calls.model("a")

    async def priced(call: Call[Prompt]) -> None:
        assert call.request.attempt is not None
        call.request.attempt.response_model = "a-2026" + "x" * 1000
        call.request.attempt.cost_nanousd = 42
        await call.send(Completed(finish_reason=FinishReason.LENGTH))

    model.model = replace(model.model, answer=priced)
    scene.ask(model)

    (span,) = scene.attempts
    assert span.attributes is not None
    assert str(span.attributes["gen_ai.response.model"]).startswith("a-2026x")
    assert len(str(span.attributes["gen_ai.response.model"])) == LONGEST_NAME
    assert span.attributes["penstock.cost_nanousd"] == 42
    assert span.attributes["gen_ai.response.finish_reasons"] == ("length",)


def test_a_failed_attempt_says_why_and_the_next_one_after_what(scene: Scene) -> None:
    """In the words of the pool, not in those of whatever was raised."""
    first = scene.calls.model("a", Broken("secret", reason="reset"))

    scene.ask(first, scene.calls.model("b"))

    failed, answered = scene.attempts
    assert failed.attributes is not None
    assert answered.attributes is not None
    assert (failed.attributes["error.type"], failed.status.status_code) == ("reset", StatusCode.ERROR)
    assert "penstock.retry.reason" not in failed.attributes
    assert (answered.attributes["penstock.attempt"], answered.attributes["penstock.retry.reason"]) == (2, "reset")
    assert "secret" not in failed.to_json()


def test_waits_are_told_of_on_the_call(scene: Scene) -> None:
    """What for, and how long."""
    scene.ask(scene.calls.model("a", Broken("x"), "ok"))

    ((name, attributes),) = scene.events
    assert (name, attributes["penstock.wait"]) == ("penstock.wait", "backoff")
    assert attributes["penstock.wait.seconds"] == pytest.approx(0.1)


def test_a_model_that_was_never_asked_made_no_attempt(scene: Scene) -> None:
    """As where its circuit opens at the last moment."""
    closing, other = scene.calls.model("a"), scene.calls.model("b")
    admit = CircuitBreaker.admit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CircuitBreaker, "admit", lambda it: None if it is closing.model.breaker else admit(it))
        asked = scene.ask(closing, other)

    assert [span.name for span in scene.attempts] == ["chat b-upstream"]
    assert asked.attempts == [("b", "")]


def test_an_attempt_that_was_cancelled_is_no_error_of_the_models(scene: Scene) -> None:
    """What it had used is on it all the same."""
    scene.ask(scene.calls.model("a", [USAGE, "he", HANGS]), cancelled_after=1.0)

    (span,) = scene.attempts
    assert span.attributes is not None
    assert (span.attributes["penstock.reason"], span.status.status_code) == ("cancelled", StatusCode.UNSET)
    assert "error.type" not in span.attributes
    assert span.attributes["gen_ai.usage.output_tokens"] == 11


@pytest.mark.parametrize(
    ("error", "error_type"),
    [(BudgetExhausted("x", retry_after=-1), "BUDGET_EXHAUSTED"), (ValueError("x"), "ValueError")],
    ids=repr,
)
def test_an_attempt_that_ends_unforeseen_says_how(scene: Scene, error: Exception, error_type: str) -> None:
    """By the error's reason or kind."""
    scene.ask(scene.calls.model("a", error))

    (span,) = scene.attempts
    assert span.attributes is not None
    assert (span.attributes["error.type"], span.status.status_code) == (error_type, StatusCode.ERROR)


def test_content_stays_where_it_is(scene: Scene) -> None:
    """Unless the operator asks for it."""
    scene.ask(scene.calls.model("a", "the-output"), text="the-prompt")

    said = "".join(span.to_json() for span in scene.telescope.spans)
    assert "the-output" not in said
    assert "the-prompt" not in said


def test_content_is_captured_for_who_asks_for_it() -> None:
    """The prompt, and the output as it passed; it reaches the caller no less."""
    scene = Scene(captures_content=True)

    asked = scene.ask(scene.calls.model("a", ["the-", "output"]), text="the-prompt")

    (span,) = scene.attempts
    assert span.attributes is not None
    assert json.loads(str(span.attributes["gen_ai.input.messages"]))[0]["parts"][0]["content"] == "the-prompt"
    assert json.loads(str(span.attributes["gen_ai.output.messages"]))[0]["parts"][0]["content"] == "the-output"
    assert asked.heard.text == "the-output"


def test_a_call_that_is_not_sampled_has_no_spans() -> None:
    """Nothing is made at all."""
    scene = Scene()

    scene.calls.answer(scene.calls.model("a", Broken("x"), "ok"))

    assert scene.telescope.spans == ()
