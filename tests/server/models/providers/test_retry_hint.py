"""Providers' hints are read in each of their forms, and nonsense is no hint."""

import time
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstockd.models.providers.retry_hint import ABSURD, may_repeat, retry_delay, retry_hint

NOW = 1_445_412_420.0  # Wed, 21 Oct 2015 07:27:00 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "0", "retry-after": "3"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3.0),
        ({"retry-after-ms": "-1", "retry-after": "3"}, 3.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 60.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:26:00 GMT"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": " 3 "}, 3.0),
        ({"retry-after": "3."}, 3.0),
        ({"retry-after": ".5"}, 0.5),
        ({"retry-after": "+3"}, 3.0),
        ({"retry-after": "."}, None),
        ({"retry-after": "1_0"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "1e1"}, None),
        ({"retry-after-ms": "1_0", "retry-after": "3"}, 3.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e300"}, None),
        ({"retry-after": "tomorrow"}, None),
    ],
)
def test_a_hint_is_seconds_from_now(headers: Mapping[str, str], seconds: float | None) -> None:
    """Milliseconds come before seconds, dates count from now, negative and absurd values are ignored."""
    assert retry_hint(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Wed, 21 Oct 2015 07:27:50 GMT", 10.0),
        ("Wed Oct 21 07:27:50 2015", 10.0),
        ("Wed, 21 Oct 2015 09:27:50 +0200", 10.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:01 GMT", 60.0),
        ("Wed, 21 Oct 2015 06:27:00 GMT", 60.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 60.0),
        ("now", 60.0),
        ("", 60.0),
    ],
)
def test_a_date_counts_from_the_providers_own_if_that_is_sooner(date: str, seconds: float | None) -> None:
    """Its clock may not be right by ours; nor need the date be its clock's: a proxy or a cache may have written it."""
    assert retry_hint({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": date}, NOW) == seconds


def test_a_date_counts_from_the_providers_own_where_ours_is_past_it() -> None:
    """And where neither makes sense, there is no hint."""
    said = {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}

    assert retry_hint(said | {"date": "Wed, 21 Oct 2015 07:27:50 GMT"}, NOW + 3600) == 10.0
    assert retry_hint(said | {"date": "Wed, 21 Oct 2015 07:29:00 GMT"}, NOW + 3600) is None


def test_seconds_count_from_now_whatever_the_providers_clock_shows() -> None:
    """They are no date."""
    assert retry_hint({"retry-after": "3", "date": "Wed, 21 Oct 2015 06:00:00 GMT"}, NOW) == 3.0


@pytest.fixture
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's clock shows another time than UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/Los_Angeles")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_greenwich")
@pytest.mark.parametrize(
    "date",
    [
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "Wednesday, 21-Oct-15 07:28:00 GMT",
        "Wed Oct 21 07:28:00 2015",
        "Wed, 21 Oct 2015 07:28:00",
        "Wed, 21 Oct 2015 07:28:00 -0000",
        "Wed, 21 Oct 2015 09:28:00 +0200",
    ],
)
def test_a_date_is_in_utc_unless_it_says_otherwise(date: str) -> None:
    """Where the machine stands is nobody's affair."""
    assert retry_hint({"retry-after": date}, NOW) == 60.0


@given(st.text())
@example("0\x1f")
def test_no_header_is_too_odd(text: str) -> None:
    """Whatever a provider sends, a hint is a sensible number of seconds or none."""
    hint = retry_hint({"retry-after": text, "retry-after-ms": text}, NOW)
    dated = retry_hint({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": text}, NOW)

    assert hint is None or hint >= 0
    assert dated is None or dated >= 0


INFO = "type.googleapis.com/google.rpc.RetryInfo"


@pytest.mark.parametrize(
    ("details", "seconds"),
    [
        ([{"@type": INFO, "retryDelay": "34s"}], 34.0),
        ([{"@type": INFO, "retryDelay": "3.98361248s"}], 3.98361248),
        ([{"@type": INFO, "retryDelay": "0s"}], 0.0),
        ([{"@type": "type.googleapis.com/google.rpc.Help"}, "odd", {"@type": INFO, "retryDelay": "1s"}], 1.0),
        ([{"@type": INFO, "retryDelay": "-1s"}], None),
        ([{"@type": INFO, "retryDelay": f"{ABSURD + 1}s"}], None),
        ([{"@type": INFO, "retryDelay": "soon"}], None),
        ([{"@type": INFO, "retryDelay": None}], None),
        ([{"@type": INFO}], None),
        ([{"retryDelay": "34s"}], None),
        ([], None),
        ({"@type": INFO, "retryDelay": "34s"}, None),
        (None, None),
    ],
    ids=repr,
)
def test_a_delay_among_the_details_of_an_error_is_read(details: object, seconds: float | None) -> None:
    """In Google's form, and within the bounds that a header's has."""
    assert retry_delay(details) == seconds


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({}, None),
        ({"x-should-retry": "true"}, True),
        ({"x-should-retry": "False"}, False),
        ({"x-should-retry": "maybe"}, None),
    ],
)
def test_a_provider_may_say_whether_to_repeat(headers: Mapping[str, str], *, says: bool | None) -> None:
    """x-should-retry is true, false or silent."""
    assert may_repeat(headers) is says
