"""docs/errors.md: what it says of every error is true."""

import re
from pathlib import Path

from google.rpc import error_details_pb2

from penstockd.errors import PenstockError, Quota, Violation
from penstockd.services.usage import MOST_OF_A_TENANT, MOST_REPORTS
from penstockd.status import DOMAIN, trailers

ROOT = next(parent for parent in Path(__file__).parents if (parent / "pyproject.toml").exists())
PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")


def test_every_reason_has_its_row_with_its_code() -> None:
    """And there is no row of another."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([A-Z_]+) \|", PAGE, re.MULTILINE)

    assert sorted(rows) == sorted((kind.reason, kind.code.name) for kind in PenstockError.__subclasses__())


def test_everything_a_status_carries_is_explained() -> None:
    """Its trailers by their keys, its details by their names."""
    kind = PenstockError.__subclasses__()[0]
    error = kind("no", retry_after=1.0, violations=[Violation("a", "b")], quota=Quota("c", "d"))
    carried = dict(trailers(error, "r-1"))
    details = [name for name in error_details_pb2.DESCRIPTOR.message_types_by_name if name.encode() in packed(carried)]

    assert set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)) == set(carried)
    assert sorted(re.findall(r"^\| `google\.rpc\.(\w+)` \|", PAGE, re.MULTILINE)) == sorted(details)
    assert f"`{DOMAIN}`" in PAGE


def test_how_many_reports_are_made_at_once_is_said() -> None:
    """Where callers look who are refused one."""
    of_a_tenant = f"{MOST_OF_A_TENANT} GetUsage of one tenant (an operator's key: {MOST_REPORTS})"

    assert f"more than {of_a_tenant}, or {MOST_REPORTS} in all, are made at once" in PAGE


def packed(carried: dict[str, str | bytes]) -> bytes:
    """The details as they travel, in which each is named by its type."""
    details = carried["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    return details
