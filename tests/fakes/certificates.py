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


class Authority:
    """Issues certificates that name whoever a test wants, in a directory of its own."""

    def __init__(self, openssl: Path, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self._openssl = openssl
        self._directory = directory
        self.ca, self._key = self._made("authority", "basicConstraints=critical,CA:TRUE")

    def issue(self, name: str, *sans: str) -> tuple[Path, Path]:
        """Return the PEM files of a certificate for `name` and of its key; `sans` such as "DNS:localhost"."""
        alternatives = [f"subjectAltName={','.join(sans)}"] if sans else []
        signed = ["-CA", str(self.ca), "-CAkey", str(self._key)]
        return self._made(name, "basicConstraints=critical,CA:FALSE", *alternatives, more=signed)

    def _made(self, name: str, *extensions: str, more: list[str] | None = None) -> tuple[Path, Path]:
        cert, key = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}"]
        added = [word for extension in extensions for word in ("-addext", extension)]
        files = ["-keyout", str(key), "-out", str(cert)]
        subprocess.run([self._openssl, "req", *kind, *added, *files, *(more or [])], check=True, capture_output=True)
        return cert, key
