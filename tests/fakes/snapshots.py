"""A snapshot as /status says it, and an admin port that serves what a test puts there."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NOTHING = {"count": 0, "min": None, "max": None, "avg": None, "p50": None, "p90": None, "p99": None}
TOOK = {"count": 90, "min": 0.0004, "max": 2.5, "avg": 0.21, "p50": 0.12, "p90": 0.5, "p99": 1.9}
BOTH = {"since_start": TOOK, "last_5m": TOOK}
MODEL = {
    "name": "fast",
    "provider": "openai",
    "upstream": "gpt-4o-mini",
    "state": "open",
    "cause": "connect_failed",
    "in_flight": 0,
    "max_in_flight": 100,
    "error_rate": 1.0,
    "blameless": 0.0,
    "ttft": 0.35,
    "next_probe_in": 14.2,
    "cooldown": None,
    "calls": 70,
    "calls_last_5m": 60,
    "cost_nanousd": 1_250_000_000,
}
SNAPSHOT: dict[str, Any] = {
    "version": "1.2.3",
    "environment": "production",
    "at": 1_700_000_000.0,
    "started_at": 1_699_990_000.0,
    "uptime_seconds": 10_000.0,
    "problems": [
        {"severity": "critical", "what": "ledger", "subject": "ledger", "text": "The ledger cannot be written: full."},
        {"severity": "warning", "what": "circuit", "subject": "fast", "text": "Model fast is open: connect failed."},
        {"severity": "notice", "what": "circuit", "subject": "old", "text": "Model old was disabled by an operator."},
    ],
    "ready": {"ok": False, "reasons": ["ledger"]},
    "calls": {
        "in_flight": 3,
        "limit": 1000,
        "total": 1234,
        "by_code": {"OK": 1200, "UNAVAILABLE": 34},
        "by_reason": {"MODELS_UNAVAILABLE": 21, "OVERLOADED": 13},
        "shed": 13,
        "last_5m_by_code": {"OK": 83, "RESOURCE_EXHAUSTED": 7, "UNAVAILABLE": 10},
        "last_5m_by_reason": {"OVERLOADED": 9, "MODELS_UNAVAILABLE": 1},
        "last_5m_shed": 9,
        "last_5m_failed": 10,
        "last_5m_refused": 7,
    },
    "durations": {"call": BOTH, "first_content": BOTH, "overhead": {"since_start": NOTHING, "last_5m": NOTHING}},
    "traffic": [
        {
            "at": 1_700_000_000.0,
            "seconds": 10.0,
            "calls": calls,
            "errors": calls // 10,
            "refused": 0,
            "p50": 0.1,
            "p99": 1.9 if calls else None,
            "cost_nanousd": calls * 1000,
        }
        for calls in (0, 10, 20, 40, 80)
    ],
    "models": [
        MODEL,
        {**MODEL, "name": "strong", "state": "closed", "cause": "", "cooldown": 8.0, "next_probe_in": 8.0},
    ],
    "cache": {
        "enabled": True,
        "entries": 12,
        "max_entries": 100,
        "bytes": 34_567,
        "max_bytes": 1_000_000,
        "hits": 30,
        "misses": 10,
        "joins": 4,
        "evictions": 0,
    },
    "idempotency": {"replays": 3, "joins": 2},
    "limits": [
        {
            "rule": "600/m requests",
            "per": "tenant",
            "tenant": "acme",
            "shadow": False,
            "denials": 90,
            "denials_last_minute": 40,
            "admissions_last_minute": 600,
        }
    ],
    "tenants": [
        {"tenant": "acme", "calls": 1234, "errors": 34, "denials": 90, "cost_nanousd": 70_000, "calls_last_5m": 100}
    ],
    "budgets": [
        {
            "tenant": "acme",
            "rule": "200 USD per month",
            "shadow": False,
            "limit_nanousd": 200_000_000_000,
            "spent_nanousd": 150_000_000_000,
            "held_nanousd": 1_000_000,
            "fraction": 0.75,
            "resets_at": 1_700_600_000.0,
        }
    ],
    "spend": {"nanousd": 150_000_000_000, "wasted_nanousd": 0, "last_5m_nanousd": 2_000_000_000},
    "ledger": {"failing": True, "fault": "full", "waiting": 5, "commit": BOTH},
    "loop_lag": BOTH,
    "telemetry_dropped": {"logs": 0, "spans": 0, "metrics": 0},
    "certificate_expires_at": 1_700_090_000.0,
    "changes": [
        {"at": 1_700_000_000.0, "what": "circuit", "subject": "fast", "state": "half_open", "cause": "x_y", "count": 3},
        {"at": 1_699_990_000.0, "what": "daemon", "subject": "penstockd", "state": "ready", "cause": "", "count": 1},
    ],
}


class FakeAdminPort:
    """Answers every request with `status` and `body`; `asked` is each one's path and credential."""

    def __init__(self) -> None:
        self.status = 200
        self.snapshot: dict[str, Any] = deepcopy(SNAPSHOT)
        self.body: bytes | None = None
        self.headers: dict[str, str] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.url = ""

    def answer(self) -> bytes:
        """What is sent."""
        return json.dumps(self.snapshot).encode() if self.body is None else self.body


@contextmanager
def fake_admin_port() -> Iterator[FakeAdminPort]:
    """Serve one for the length of the block."""
    port = FakeAdminPort()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            port.asked.append((self.path, self.headers.get("authorization")))
            body = port.answer()
            self.send_response(port.status)
            for name, value in {**port.headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        port.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield port
        finally:
            server.shutdown()
            thread.join()
