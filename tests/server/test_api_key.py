"""Keys: how they are spelled, and what is stored of them."""

import hashlib
import hmac
import zlib

import pytest

from penstockd.api_key import SAMPLE_KEY, digest, generate, is_well_formed

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def number(digits: str) -> int:
    """What base-62 digits say."""
    value = 0
    for digit in digits:
        value = value * 62 + DIGITS.index(digit)
    return value


def test_every_key_is_another_and_well_formed() -> None:
    """Two callers never share one."""
    keys = {generate() for _ in range(1000)}

    assert len(keys) == 1000
    assert all(is_well_formed(key) for key in keys)


def test_a_key_is_256_bits_and_their_checksum() -> None:
    """As its documentation says, for scanners that look for lost ones."""
    key = generate()

    assert key.startswith("pk_")
    assert len(key) == 3 + 43 + 6
    assert number(key[3:46]) < 2**256
    assert number(key[46:]) == zlib.crc32(key[:46].encode())


def test_all_256_bits_are_used() -> None:
    """Each of them is sometimes set and sometimes not."""
    drawn = [number(generate()[3:46]) for _ in range(200)]

    assert all(0 < sum(each >> bit & 1 for each in drawn) < 200 for bit in range(256))


@pytest.mark.parametrize("place", [0, 5, 20, 45, 46, 51])
def test_a_key_with_a_typing_error_is_not_well_formed(place: int) -> None:
    """The checksum notices any one wrong character."""
    key = generate()
    wrong = "x" if key[place] != "x" else "y"

    assert not is_well_formed(key[:place] + wrong + key[place + 1 :])


@pytest.mark.parametrize(
    "text", ["", "pk_", "pk_" + "0" * 49, f"{SAMPLE_KEY}\n", f" {SAMPLE_KEY}", SAMPLE_KEY * 2, "x" * 16000, "pk_ä" * 13]
)
def test_garbage_is_not_well_formed(text: str) -> None:
    """Whatever its length, and a line's end is part of it."""
    assert not is_well_formed(text)


def test_the_digest_is_hmac_sha256_under_the_pepper() -> None:
    """So that another program can make it."""
    expected = hmac.new(b"pepper", SAMPLE_KEY.encode(), hashlib.sha256).hexdigest()

    assert digest("pepper", SAMPLE_KEY) == f"hmac-sha256:{expected}"
    assert digest("other", SAMPLE_KEY) != digest("pepper", SAMPLE_KEY)


def test_the_sample_is_a_key() -> None:
    """People can try what the documentation shows."""
    assert is_well_formed(SAMPLE_KEY)
