"""Secrets, prompts and outputs stay where they belong, whatever goes wrong around them."""

import asyncio
import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiohttp
import psutil

from fakes import answers
from fakes.receiver import Receiver
from fakes.rpc import PROCESS, STREAM, Ended, Metadata, Wire, wire
from fakes.upstream import CLOSE, HANG, STREAM_HEAD, Upstream, chunk, response, stream
from peers.live_daemon import PROGRAMS, Daemons, Penstockd, run
from penstock.v1.agent_service_pb2 import ProcessRequest
from penstockd.api_key import digest, generate

PEPPER: Final = "canary-pepper-51d0"
PROVIDER_KEY: Final = "sk-canary-provider-e7a2"
ADMIN_TOKEN: Final = "canary-admin-token-77b1"
PROMPT: Final = "canary-prompt-9c41"
HISTORY: Final = "canary-history-03fe"
INSTRUCTIONS: Final = "canary-instructions-88aa"
OUTPUT: Final = "canary-output-2d6f"
API_KEY: Final = generate()
WRONG_KEY: Final = generate()
SECRETS: Final = (PEPPER, PROVIDER_KEY, ADMIN_TOKEN, API_KEY, WRONG_KEY)
TEXTS: Final = (PROMPT, HISTORY, INSTRUCTIONS, OUTPUT)

ENVIRON: Final = {"PENSTOCK_KEY_PEPPER": PEPPER, "FAST_KEY": PROVIDER_KEY, "LOG_LEVEL": "DEBUG"}
ASK: Final = ProcessRequest(input=PROMPT, history=[{"role": "ROLE_USER", "content": HISTORY}], user_id="u1")
PLEASE: Final[Metadata] = (("authorization", f"Bearer {API_KEY}"),)


def config(upstream: Upstream) -> dict[str, object]:
    """One agent, one model, one tenant with one key."""
    return {
        "models": {
            "fast": {
                "provider": "openai",
                "base_url": upstream.url,
                "api_key": "${FAST_KEY}",
                "model": "gpt",
                "price": {"input": 1, "output": 2},
                "headers": {"x-gateway-token": "${FAST_KEY}"},
            }
        },
        "agents": {"support": {"instructions": INSTRUCTIONS, "route": {"models": ["fast"]}}},
        "default_agent": "support",
        "tenants": {
            "acme": {
                "keys": [{"name": "web", "hash": digest(PEPPER, API_KEY), "role": "operator"}],
                "budgets": [{"per": "tenant", "usd": 0.01, "alert_at": [0.0001, 1.0]}],
            }
        },
        "retry": {"max_attempts": 1},
        "circuit_breaker": {"consecutive_failures": 100, "min_calls": 100},
        "admin": {"token": ADMIN_TOKEN},
    }


async def test_no_canary_leaves_its_cage(daemons: Daemons, upstream: Upstream, tmp_path: Path) -> None:
    """In no log, span, metric, page, process list or ledger, nor in `check --print`; and no secret in a status."""
    state = tmp_path / "state"
    async with Receiver() as receiver:
        environ = {
            **ENVIRON,
            "PENSTOCK_STATE_DIR": str(state),
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        daemon = await daemons.start(environ=environ, **config(upstream))
        async with wire(daemon.target) as caller:
            ended = await every_ending(caller, upstream)
        pages = await every_page(daemon)
        processes = " ".join(psutil.Process(daemon.pid).cmdline())
        await reload_with_a_mistake(daemon, daemons, upstream)
        printed = await run(
            PROGRAMS / "penstockd", "check", "--print", "--config", str(daemons.config), environ=environ
        )
        files = [file.read_bytes().decode("latin-1") for file in state.iterdir()]
        await daemon.stop()
        files += [file.read_bytes().decode("latin-1") for file in state.iterdir()]

    assert {each.reason for each in ended} >= {"", "UNAUTHENTICATED", "UPSTREAM_MISCONFIGURED", "STREAM_BROKEN"}
    assert printed[0] == 0
    assert receiver.spans
    places = {
        "log": json.dumps(daemon.lines),
        "spans": str(receiver.spans),
        "metrics": str(receiver.metrics) + pages,
        "processes": processes,
        "ledger": " ".join(files),
    }
    for name, text in places.items():
        assert [canary for canary in (*SECRETS, *TEXTS) if canary in text] == [], name
    assert [canary for canary in SECRETS if canary in " ".join(printed[1:])] == []
    assert [canary for canary in SECRETS if canary in str(ended)] == []
    assert "acme" in places["log"]
    assert "acme" in places["ledger"]
    assert PROMPT.encode() in upstream.requests[0].body


async def every_ending(caller: Wire, upstream: Upstream) -> Sequence[Ended]:
    """Make calls that end in all kinds of ways, in which the upstream repeats what it was told."""
    repeated = f"Incorrect API key provided: {PROVIDER_KEY}; you said {PROMPT}"
    upstream.answer(response(answers.openai_answer(OUTPUT).replace(b'"gpt"', f'"{PROVIDER_KEY}"'.encode())))
    upstream.answer(*stream(*answers.openai_events([OUTPUT])))
    upstream.answer(response(json.dumps({"error": {"message": repeated}}).encode(), status=500))
    upstream.answer(response(json.dumps({"error": {"message": repeated}}).encode(), status=429, retry_after_ms="1"))
    upstream.answer(response(f"{OUTPUT} is no JSON".encode()))
    upstream.answer(response(json.dumps({"choices": OUTPUT, "usage": PROMPT}).encode()))
    upstream.answer(STREAM_HEAD, chunk(answers.openai_events([OUTPUT])[1]), CLOSE)
    ended = [
        await caller.ask(PROCESS, ASK, metadata=PLEASE),
        await caller.ask(STREAM, ASK, metadata=PLEASE),
        await caller.ask(PROCESS, ASK),
        await caller.ask(PROCESS, ASK, metadata=(("authorization", f"Bearer {WRONG_KEY}"),)),
        await caller.ask(PROCESS, ASK, metadata=(*PLEASE, ("authorization", f"Bearer {WRONG_KEY}"))),
        await caller.ask(PROCESS, b"\xff" + PROMPT.encode(), metadata=PLEASE),
    ]
    for _ in range(5):
        await asyncio.sleep(0.005)  # a 429 cools the model for a moment
        ended.append(await caller.ask(STREAM if len(ended) == 10 else PROCESS, ASK, metadata=PLEASE))
    await cancelled(caller, upstream)
    for status in (402, 404):
        upstream.answer(response(json.dumps({"error": {"message": repeated}}).encode(), status=status))
        ended.append(await caller.ask(PROCESS, ASK, metadata=PLEASE))
    return ended


async def cancelled(caller: Wire, upstream: Upstream) -> None:
    """Leave in the middle of an answer."""
    upstream.answer(STREAM_HEAD, chunk(answers.openai_events([OUTPUT])[1]), HANG)
    call = caller.start(STREAM, ASK.SerializeToString(), metadata=PLEASE)
    await call.read()
    call.cancel()


async def every_page(daemon: Penstockd) -> str:
    """All that the admin port says to those who have its token, and to those who do not."""
    pages = []
    async with aiohttp.ClientSession() as session:
        for path in ("/metrics", "/readyz", "/livez", "/status", "/"):
            for headers in ({}, {"authorization": f"Bearer {ADMIN_TOKEN}"}):
                async with session.get(daemon.admin + path, headers=headers) as answer:
                    pages.append(await answer.text())
    return " ".join(pages)


async def reload_with_a_mistake(daemon: Penstockd, daemons: Daemons, upstream: Upstream) -> None:
    """Have the daemon read a file in which a secret stands where none is expected; then leave the right one there."""
    wrong = config(upstream)
    wrong["models"] = {
        "fast": {"provider": "openai", "api_key": [PROVIDER_KEY], "timeouts": PROVIDER_KEY, "model": "g"}
    }
    daemons.configure(**wrong)
    daemon.signal(signal.SIGHUP)
    await daemon.line("the new configuration is not used")
    daemons.configure(**config(upstream))
