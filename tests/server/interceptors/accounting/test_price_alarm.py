"""Operators hear of a model that nobody knows the price of."""

import logging

import pytest

from fakes.clock import FakeClock
from fakes.telescope import Telescope
from penstockd.interceptors.accounting.price_alarm import SILENCE, PriceAlarm
from penstockd.logs.log import Log


def test_every_refusal_is_counted_and_now_and_then_one_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Each model on its own: the count is for alerts, the line in the log for whoever reads it."""
    clock, telescope = FakeClock(), Telescope()
    alarm = PriceAlarm(clock=clock, log=Log("penstockd"), instruments=telescope.instruments)

    with caplog.at_level(logging.ERROR):
        for model in ("own", "own", "rented"):
            alarm.sound(model)
        clock.advance(SILENCE)
        alarm.sound("own")

    assert [record.__dict__["fields"] for record in caplog.records] == [
        {"model": model} for model in ("own", "rented", "own")
    ]
    assert telescope.points("penstock.price.unknown") == [
        ({"penstock.model": "own"}, 3),
        ({"penstock.model": "rented"}, 1),
    ]
