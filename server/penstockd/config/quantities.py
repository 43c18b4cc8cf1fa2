"""Settings that are numbers: durations, sizes, rates, money, counts and fractions."""

from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AllowInfNan, BeforeValidator, PlainSerializer, PlainValidator

from penstockd.config.errors import Mistake
from penstockd.config.grammar import (
    RateSetting,
    parse_duration,
    parse_rate,
    parse_size,
    parse_usd,
    show_duration,
    show_size,
    show_usd,
)


def _not_a_switch(value: object) -> object:
    if isinstance(value, bool):
        raise Mistake("must be a number")
    return value


Duration = Annotated[float, BeforeValidator(parse_duration), PlainSerializer(show_duration)]
"""Seconds, written `2s`; may be none at all."""

Time = Annotated[Duration, Gt(0)]
"""Seconds, written `2s`; more than none."""

Size = Annotated[int, Gt(0), BeforeValidator(parse_size), PlainSerializer(show_size)]
"""Bytes, written `4MiB`."""

RateText = Annotated[RateSetting, PlainValidator(parse_rate), PlainSerializer(str)]
"""So many a period, written `600/m`."""

NanoUsd = Annotated[int, BeforeValidator(parse_usd), PlainSerializer(show_usd)]
"""Nano-USD, written in USD."""

Whole = Annotated[int, BeforeValidator(_not_a_switch)]
"""A whole number."""

Count = Annotated[Whole, Ge(1), Lt(2**31)]
"""How many; at least one."""

Number = Annotated[float, AllowInfNan(allow_inf_nan=False), BeforeValidator(_not_a_switch)]
"""A number, with or without decimals."""

Share = Annotated[Number, Ge(0), Le(1)]
"""A part of the whole, 0 to 1."""

SomeShare = Annotated[Number, Gt(0), Le(1)]
"""A part of the whole, above 0 to 1."""
