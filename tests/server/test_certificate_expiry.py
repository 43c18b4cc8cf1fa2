"""Until when a certificate is good is read from the certificate itself."""

import ssl
import subprocess
from math import isnan
from pathlib import Path

import pytest

from fakes.certificates import Authority, self_signed
from peers import peer
from penstockd.certificate_expiry import expires_at


def as_openssl_says(cert: Path) -> float:
    """When OpenSSL says it expires."""
    said = subprocess.run([peer("openssl"), "x509", "-in", cert, "-noout", "-enddate"], check=True, capture_output=True)
    return ssl.cert_time_to_seconds(said.stdout.decode().strip().removeprefix("notAfter="))


def test_it_is_what_openssl_says(tmp_path: Path) -> None:
    """Of the first certificate of a chain, whatever is written around it."""
    authority = Authority(peer("openssl"), tmp_path)
    cert, _ = authority.issue("localhost")
    chain = f"a comment\n{cert.read_text()}{authority.ca.read_text()}"

    assert expires_at(chain) == as_openssl_says(cert)


def test_it_is_told_of_centuries_to_come(tmp_path: Path) -> None:
    """From 2050 on, years have four digits."""
    cert, key = self_signed(peer("openssl"), tmp_path)
    for_long = ["-days", "36500", "-key", str(key), "-out", str(cert), "-subj", "/CN=x"]
    subprocess.run([peer("openssl"), "req", "-x509", "-new", *for_long], check=True, capture_output=True)

    assert expires_at(cert.read_text()) == as_openssl_says(cert)


BEGIN, END = "-----BEGIN CERTIFICATE-----\n", "\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("text", ["", "no certificate", f"{BEGIN}MAA={END}", f"{BEGIN}?{END}", f"{BEGIN}MIIB{END}"])
def test_what_cannot_be_read_has_no_end(text: str) -> None:
    """TLS has its own opinion of it."""
    assert isnan(expires_at(text))
