"""What one attempt is charged in the end."""

import pytest

from fakes.calls import a_call
from fakes.metering import ESTIMATE, HOLD, INPUT, OUTPUT, PRICE, MeteredCalls, a_budget
from fakes.model_calls import a_prompt
from penstockd.interceptors.accounting.account import Account
from penstockd.ledger import EntryStatus
from penstockd.limits import Amounts, BudgetDemand
from penstockd.model import Price
from penstockd.outcome import Attempt, Outcome
from penstockd.principal import Principal
from penstockd.rules import Rulebook
from penstockd.upstream import UNBILLED
from penstockd.usage import Usage


def account(
    *,
    reported: Usage | None = None,
    is_counted: bool = False,
    labels: dict[str, str] | None = None,
    price: Price | None = PRICE,
) -> Account:
    """The account of a call to a model, whose provider has reported this so far, or of all of the answer."""
    model = MeteredCalls().model("a", price=price).model
    attempt = Attempt(model="a", started_at=0.0, usage=reported or Usage(), is_counted=is_counted)
    prompt = a_prompt([MeteredCalls().model("a")])
    request = type(prompt)(
        instructions=prompt.instructions,
        turns=prompt.turns,
        parameters=prompt.parameters,
        route=prompt.route,
        streams=True,
        labels=labels or {},
        user_id="u1",
        model=model,
        attempt=attempt,
    )
    return Account(
        a_call(request, outcome=Outcome(principal=Principal(tenant=""))), Rulebook({"": a_budget(1)}), now=1000.0
    )


def test_it_is_charged_its_estimate_if_the_process_dies() -> None:
    """All the output that it allows; labels and user go to the ledger."""
    entry = account(labels={"team": "search"}).held

    assert (entry.status, entry.is_estimated) == (EntryStatus.HELD, True)
    assert entry.usage == Usage(uncached_input=INPUT, output=OUTPUT)
    assert entry.cost_nanousd == PRICE.cost(entry.usage)
    assert (entry.user_id, entry.labels, entry.at) == ("u1", {"team": "search"}, 1000.0)


@pytest.mark.parametrize(
    ("reported", "charged"),
    [
        (Usage(uncached_input=4, output=3), Usage(uncached_input=4, output=3)),
        (Usage(cached_input=4, output=3, reasoning=2), Usage(cached_input=4, output=3, reasoning=2)),
        (Usage(), Usage(uncached_input=INPUT, output=5)),
        (Usage(uncached_input=4), Usage(uncached_input=4, output=5)),
        (Usage(output=3), Usage(uncached_input=INPUT, output=3)),
    ],
    ids=["all", "all from the cache", "nothing", "only input", "only output"],
)
def test_what_the_provider_left_uncounted_is_estimated(reported: Usage, charged: Usage) -> None:
    """And the entry says so."""
    answered = account(reported=reported)
    answered.hear("x" * 20)

    entry = answered.complete(reported)

    assert (entry.usage, entry.is_estimated) == (charged, charged != reported)
    assert (answered.attempt.usage, answered.attempt.cost_nanousd) == (charged, PRICE.cost(charged))
    assert (answered.attempt.is_complete, answered.is_settled) == (True, True)


@pytest.mark.parametrize(
    ("said", "output"),
    [(20, 5), (0, 1), (10**6, OUTPUT)],
    ids=["more was said", "less was said", "more than was asked for"],
)
def test_a_whole_answer_of_which_a_part_was_counted_is_charged_the_larger_of_both_counts(
    said: int, output: int
) -> None:
    """As a cut one is: what comes after the last count is output too."""
    reported = Usage(uncached_input=4, cached_input=2, output=1)
    answered = account(reported=reported)
    answered.hear("x" * said)

    entry = answered.complete(reported, is_counted=False)

    assert entry.usage == Usage(uncached_input=4, cached_input=2, output=output)
    assert (entry.cost_nanousd, entry.is_estimated) == (4 * 2 + 2 * 1 + output * 5, True)
    assert (entry.status, answered.attempt.is_complete) == (EntryStatus.OK, True)


def test_an_empty_answer_that_nobody_counted_was_asked_for_all_the_same() -> None:
    """Its input is charged."""
    assert account().complete(Usage()).usage == Usage(uncached_input=INPUT)


def test_how_the_text_was_cut_up_does_not_matter() -> None:
    """A slow reader is not charged less than a fast one: four bytes are a token."""
    whole, pieces = account(), account()
    whole.hear("€uro zone")
    for letter in "€uro zone":
        pieces.hear(letter)

    assert whole.complete(Usage()).usage == pieces.complete(Usage()).usage == Usage(uncached_input=INPUT, output=3)


def test_what_nobody_is_shown_is_charged_as_well() -> None:
    """Reasoning is output; what the provider counts has it already."""
    thought, said, counted = account(), account(), account()
    for each in (thought, said, counted):
        each.attempt.bytes_unsaid = 17
    said.hear("abc")

    assert thought.broken(EntryStatus.CANCELLED, "").usage == Usage(uncached_input=INPUT, output=5)
    assert said.complete(Usage()).usage == Usage(uncached_input=INPUT, output=5)
    assert counted.complete(Usage(uncached_input=4, output=3)).usage == Usage(uncached_input=4, output=3)


def test_no_guess_is_more_than_what_was_held() -> None:
    """A model gives no more tokens than were asked for, however many bytes they have: budgets hold no more."""
    cut, counted = account(), account()
    most = cut.held.usage.output
    for each in (cut, counted):
        each.hear("x" * (4 * most + 400))

    assert cut.broken(EntryStatus.CANCELLED, "").usage.output == most
    assert counted.complete(Usage(uncached_input=4, output=most + 7)).usage.output == most + 7


@pytest.mark.parametrize("reason", sorted(UNBILLED))
def test_a_refusal_costs_nothing(reason: str) -> None:
    """The provider answered nothing."""
    entry = account().broken(EntryStatus.FAILED, reason)

    assert (entry.usage, entry.cost_nanousd, entry.is_estimated) == (Usage(), 0, False)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (EntryStatus.CANCELLED, ""),
        (EntryStatus.FAILED, "deadline"),
        (EntryStatus.FAILED, "first_token_timeout"),
        (EntryStatus.FAILED, "connection_reset"),
    ],
)
def test_what_was_never_sent_costs_nothing(status: EntryStatus, reason: str) -> None:
    """Whatever ended it while it was connecting; the same costs its input once it was sent."""
    unsent, sent = account(), account()
    unsent.attempt.is_unsent = True

    entry = unsent.broken(status, reason)

    assert (entry.status, entry.usage, entry.cost_nanousd, entry.is_estimated) == (status, Usage(), 0, False)
    assert sent.broken(status, reason).usage == Usage(uncached_input=INPUT)


def test_what_was_heard_was_sent_for() -> None:
    """Nothing that an attempt says of itself makes an answer free."""
    heard, counted = account(), account(reported=Usage(uncached_input=4))
    heard.hear("x" * 20)
    for each in (heard, counted):
        each.attempt.is_unsent = True

    costs = [each.broken(EntryStatus.CANCELLED, "").cost_nanousd for each in (heard, counted)]

    assert costs == [2 * INPUT + 5 * 5, 4 * 2]


def test_an_error_as_the_first_word_of_a_stream_costs_nothing_either() -> None:
    """An overload means the same before a 200 and after it; what was heard or counted before it is charged."""
    first, late, counted = account(), account(), account(reported=Usage(uncached_input=4, output=1))
    late.hear("x" * 20)

    entries = [each.broken(EntryStatus.FAILED, "stream_error") for each in (first, late, counted)]

    assert [entry.cost_nanousd for entry in entries] == [0, 2 * INPUT + 5 * 5, 4 * 2 + 1 * 5]
    assert [entry.is_estimated for entry in entries] == [False, True, True]


@pytest.mark.parametrize("reported", [Usage(), Usage(uncached_input=4, output=1)], ids=["text", "count"])
def test_a_refusal_in_the_middle_of_an_answer_costs_what_came_before_it(reported: Usage) -> None:
    """Both providers can put a refusal into a stream that has begun."""
    begun = account(reported=reported)
    if not reported.total:
        begun.hear("x" * 20)

    entry = begun.broken(EntryStatus.FAILED, "rate_limited")

    assert entry.usage == (reported if reported.total else Usage(uncached_input=INPUT, output=5))
    assert entry.is_estimated


def test_a_cut_answer_is_charged_the_larger_of_both_counts() -> None:
    """Anthropic counts one token at the start and the rest at the end, which did not come."""
    cut = account(reported=Usage(uncached_input=4, cached_input=2, output=1))
    cut.hear("x" * 20)

    entry = cut.broken(EntryStatus.CANCELLED, "")

    assert entry.usage == Usage(uncached_input=4, cached_input=2, output=5)
    assert (entry.is_estimated, cut.attempt.is_complete) == (True, False)


@pytest.mark.parametrize("reason", ["content_filter", "tool_call", "malformed", "truncated", "stream_error", ""])
def test_what_ended_otherwise_than_asked_for_is_charged_what_the_provider_counted(reason: str) -> None:
    """A refusal that was counted is not guessed at, however much text of it was heard."""
    ended = account(reported=Usage(uncached_input=4, cached_input=2, output=3), is_counted=True)
    ended.hear("x" * 400)

    entry = ended.broken(EntryStatus.FAILED, reason)

    assert entry.usage == Usage(uncached_input=4, cached_input=2, output=3)
    assert (entry.cost_nanousd, entry.is_estimated) == (4 * 2 + 2 * 1 + 3 * 5, False)
    assert (ended.attempt.is_estimated, ended.attempt.is_complete) == (False, False)


def test_what_a_refusal_left_uncounted_is_estimated() -> None:
    """A count of nothing is none."""
    ended = account(is_counted=True)
    ended.hear("x" * 20)

    entry = ended.broken(EntryStatus.FAILED, "content_filter")

    assert (entry.usage, entry.is_estimated) == (Usage(uncached_input=INPUT, output=5), True)


def test_a_refusal_before_any_output_costs_the_input_that_was_counted() -> None:
    """It is no free refusal: the provider counts it."""
    ended = account(reported=Usage(uncached_input=4), is_counted=True)

    entry = ended.broken(EntryStatus.FAILED, "content_filter")

    assert (entry.cost_nanousd, entry.is_estimated) == (4 * 2, False)


def test_what_is_held_covers_every_kind_of_input() -> None:
    """A cache write may be dearer than other input; what dies on its way is charged as if there were no cache."""
    begun = account()
    (demand,) = begun.demands

    assert isinstance(demand, BudgetDemand)
    assert begun.asked == Amounts(of_rates=INPUT + OUTPUT, nanousd=HOLD)
    assert PRICE.cost(Usage(cache_write_input=INPUT, output=OUTPUT)) == HOLD
    assert begun.held.cost_nanousd == ESTIMATE < HOLD


def test_what_used_nothing_costs_nothing_at_a_price_that_nobody_knows() -> None:
    """What it would have used has no known cost."""
    failed, cut = account(price=None), account(price=None)

    assert failed.held.cost_nanousd is None
    assert failed.broken(EntryStatus.FAILED, "connect_failed").cost_nanousd == 0
    assert cut.broken(EntryStatus.CANCELLED, "").cost_nanousd is None
