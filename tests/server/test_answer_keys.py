"""Requests have equal keys if and only if they are equal in all that shapes their answers."""

import random
from collections.abc import Callable

import msgspec
import pytest
from msgspec.structs import replace

from fakes.caching import SECRET, KeptAgent
from fakes.calls import REQUEST, STREAM, a_call
from penstockd.agent import Caching
from penstockd.answer_keys import AnswerKeys, owner
from penstockd.call import Call
from penstockd.outcome import Outcome
from penstockd.principal import Principal
from penstockd.request import DEFAULTS, CachePolicy, Parameters, Request, Role, Turn

PAIRS = 10_000
KEYS = AnswerKeys(SECRET)
PROMPTS = [
    KeptAgent(name=name, fingerprint=fingerprint, parameters=parameters)
    for name in ("a", "model/a")
    for fingerprint in ("1", "2")
    for parameters in (DEFAULTS, Parameters(temperature=0.5, max_output_tokens=10, stop=("x",)))
]
PYTHON = [KeptAgent(name="a", fingerprint="1", caching=Caching(ttl=1.0, per_user=True))]


def call_of(request: Request, tenant: str = "acme", **more: object) -> Call[Request]:
    """A call of a tenant."""
    return a_call(request, outcome=Outcome(principal=Principal(tenant=tenant)), **more)  # type: ignore[arg-type]  # as a_call takes it


def some(draw: random.Random, agent: KeptAgent) -> tuple[str, Request]:
    """A random tenant and request, of few enough values that two of them are often the same in a field."""
    turns = [Turn(role, text) for role in Role for text in ("", "a", "ab")]
    labels = draw.sample([("k", "v"), ("k2", "v"), ("k3", "")], draw.randrange(4))
    request = Request(
        agent=agent.name,
        input=draw.choice(["a", "ab", "a\0", "ü"]),
        history=tuple(draw.choices(turns, k=draw.randrange(3))),
        user_id=draw.choice(["", "u1", "u2"]),
        request_id=draw.choice(["", "r1"]),
        idempotency_key=draw.choice(["", "i1"]),
        parameters=Parameters(
            temperature=draw.choice([None, 0.0, -0.0, 0.5, 1.0]),
            top_p=draw.choice([None, 1.0]),
            max_output_tokens=draw.choice([None, 10, 4096]),
            stop=draw.choice([(), ("x",), ("x", "y"), ("y", "x"), ("x", "y", "x"), ("xy",)]),
            seed=draw.choice([None, 0, 1]),
        ),
        cache=draw.choice(list(CachePolicy)),
        labels=dict(labels),
    )
    return draw.choice(["acme", "other"]), request


def changed(draw: random.Random, tenant: str, request: Request, agent: KeptAgent) -> tuple[str, Request]:
    """The same, but for one or two fields drawn anew."""
    other_tenant, other = some(draw, agent)
    for field in draw.sample(Request.__struct_fields__, draw.randrange(3)):
        request = replace(request, **{field: getattr(other, field)})
    return (other_tenant if draw.random() < 0.1 else tenant), replace(request, agent=agent.name)


def shape(tenant: str, request: Request, agent: KeptAgent) -> object:
    """What shapes the answer, by another way than the keys': JSON of plain values."""
    resolved = request.parameters.over(agent.parameters)
    seen: list[object] = [tenant, agent.name, agent.fingerprint, request.input, request.history, numbers(resolved)]
    if agent.caching and agent.caching.per_user:
        seen += [request.user_id, sorted(request.labels.items()), numbers(request.parameters)]
    return msgspec.json.encode(seen)


def numbers(parameters: Parameters) -> object:
    """The parameters, with one zero, and one order of stop texts."""
    plain = msgspec.to_builtins(parameters)
    plain["stop"] = sorted(set(parameters.stop))
    if "temperature" in plain:
        plain["temperature"] = abs(plain["temperature"])
    return sorted(plain.items())


def fingerprint_shape(tenant: str, request: Request) -> object:
    """All that is asked, by another way than the fingerprints'."""
    plain = replace(request, request_id="", idempotency_key="", cache=CachePolicy.DEFAULT, labels={})
    plain = replace(plain, parameters=Parameters())
    return msgspec.json.encode([tenant, plain, numbers(request.parameters), sorted(request.labels.items())])


@pytest.mark.parametrize("agents", [PROMPTS, PYTHON], ids=["prompt", "python"])
def test_equal_keys_mean_equal_answer_shaping_fields(agents: list[KeptAgent]) -> None:
    """And the other way round, over 10^4 random pairs, near misses among them."""
    draw = random.Random(7)
    equal = 0
    for _ in range(PAIRS):
        agent = draw.choice(agents)
        tenant, request = some(draw, agent)
        other_agent = agent if draw.random() < 0.8 else draw.choice(agents)
        other_tenant, other = changed(draw, tenant, request, other_agent)

        same = shape(tenant, request, agent) == shape(other_tenant, other, other_agent)
        first = KEYS.key_of(call_of(request, tenant), agent)
        second = KEYS.key_of(call_of(other, other_tenant), other_agent)
        assert (first == second) is same, (agent, request, other_agent, other)
        assert tenant == other_tenant or first.split(":")[0] != second.split(":")[0]
        equal += same

    assert PAIRS / 20 < equal < PAIRS * 19 / 20


def test_equal_fingerprints_mean_equal_requests() -> None:
    """All that is asked but request_id, idempotency_key and cache."""
    draw = random.Random(8)
    equal = 0
    for _ in range(PAIRS):
        agent = draw.choice(PROMPTS)
        tenant, request = some(draw, agent)
        other_tenant, other = changed(draw, tenant, request, agent)

        same = fingerprint_shape(tenant, request) == fingerprint_shape(other_tenant, other)
        first, second = (
            KEYS.fingerprint_of(call_of(each, of)) for of, each in ((tenant, request), (other_tenant, other))
        )
        assert (first == second) is same, (request, other)
        equal += same

    assert PAIRS / 20 < equal < PAIRS * 19 / 20


@pytest.mark.parametrize("key", [lambda call: KEYS.key_of(call, PYTHON[0]), KEYS.fingerprint_of])
def test_the_order_of_labels_and_the_way_of_the_reply_do_not_matter(key: Callable[[Call[Request]], str]) -> None:
    """A map has no order, and a stream says the same as a whole answer."""
    request = replace(REQUEST, labels={"a": "1", "b": "2"})
    turned = replace(REQUEST, labels={"b": "2", "a": "1"})

    assert key(call_of(request)) == key(call_of(turned, method=STREAM))


def test_a_default_is_the_same_unsaid_and_said() -> None:
    """The agent's, and Penstock's own where the agent has none."""
    agent = KeptAgent(parameters=Parameters(temperature=1).over(DEFAULTS))
    said = replace(REQUEST, parameters=Parameters(temperature=1.0, max_output_tokens=4096))

    assert KEYS.key_of(call_of(REQUEST), agent) == KEYS.key_of(call_of(said), agent)


def test_a_key_tells_its_owner_and_hides_the_rest() -> None:
    """Without the secret nobody makes the key of a prompt that is guessed."""
    key = KEYS.key_of(call_of(REQUEST), KeptAgent(name="model/fast"))

    assert owner(key) == ("acme", "model/fast")
    assert "hello" not in key
    assert AnswerKeys(b"another secret..").key_of(call_of(REQUEST), KeptAgent(name="model/fast")) != key
