"""Server credentials that follow their files, so that a certificate is renewed without a restart."""

import ssl
from collections.abc import Callable
from math import nan
from pathlib import Path
from typing import cast

import grpc

from penstockd.certificate_expiry import expires_at
from penstockd.clock import Clock
from penstockd.logs.log import Log

Stamp = tuple[tuple[int, int], ...]


class CertificateFiles:
    """A certificate chain, its key and who may vouch for callers, in PEM files, read again whenever one has changed."""

    def __init__(self, *, cert: Path, key: Path, client_ca: Path | None = None, clock: Clock, log: Log) -> None:
        """Read nothing yet; with `client_ca`, callers need a certificate of one of its authorities."""
        self._cert = cert
        self._key = key
        self._client_ca = client_ca
        self._clock = clock
        self._log = log
        self._stamp: Stamp = ()
        self.expires_at = nan
        """When the certificate in use expires, in unix seconds."""

    def check(self) -> None:
        """Raise OSError unless the files fit together: they do not between the writing of one and of the next."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self._cert, self._key, password="")
        except ssl.SSLError as error:
            raise OSError(self._unlike_a_pair(error)) from error
        try:
            if self._client_ca is not None:
                context.load_verify_locations(self._client_ca)
        except ssl.SSLError as error:
            raise OSError(f"{self._client_ca} must be certificates in PEM") from error

    def credentials(self) -> grpc.ServerCredentials:
        """Return credentials that look at the files at every handshake; raises OSError if they cannot be used now."""
        self._stamp = self._look()
        # The stubs do not know that None means: keep the one in use.
        fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", self.renewed)
        return grpc.dynamic_ssl_server_credentials(
            self._read(), fetch, require_client_authentication=self._client_ca is not None
        )

    def renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the new certificate, or None to keep the one in use; gRPC calls this from threads of its own."""
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return None
            configuration = self._read()
        except OSError as error:
            self._log.error("the TLS files cannot be used; the certificate in use stays", error=str(error))
            return None
        self._stamp = stamp
        self._log.info("the TLS certificate was read anew", cert=str(self._cert))
        if self.expires_at <= self._clock.wall():
            self._log.warning("the TLS certificate has expired, and callers refuse it", cert=str(self._cert))
        return configuration

    def _unlike_a_pair(self, error: ssl.SSLError) -> str:
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"the key and the certificate do not belong together: {self._key}, {self._cert}"
        return f"{self._cert} must be a certificate in PEM, and {self._key} its key in PEM without a passphrase"

    def _look(self) -> Stamp:
        paths = (self._cert, self._key) if self._client_ca is None else (self._cert, self._key, self._client_ca)
        stats = [path.stat() for path in paths]
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in stats)

    def _read(self) -> grpc.ServerCertificateConfiguration:
        self.check()
        self.expires_at = expires_at(self._cert.read_text(errors="replace"))
        return grpc.ssl_server_certificate_configuration(
            [(self._key.read_bytes(), self._cert.read_bytes())],
            None if self._client_ca is None else self._client_ca.read_bytes(),
        )
