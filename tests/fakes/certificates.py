"""Certificates that are made for one test."""

import subprocess
from pathlib import Path


def self_signed(openssl: Path, directory: Path, name: str = "localhost") -> tuple[Path, Path]:
    """Return the PEM files of a certificate that is its own authority, and of its key."""
    cert, key = directory / f"{name}.pem", directory / f"{name}.key"
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *files, *subject],
        check=True,
        capture_output=True,
    )
    return cert, key
