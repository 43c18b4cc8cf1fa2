"""Server credentials that follow their files, so that a certificate is renewed without a restart."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import grpc

from penstockd.log import Log

Stamp = tuple[tuple[int, int], ...]


class CertificateFiles:
    """A certificate chain and its key in PEM files, read again whenever one of them has changed."""

    def __init__(self, *, cert: Path, key: Path, log: Log) -> None:
        """Read nothing yet."""
        self._cert = cert
        self._key = key
        self._log = log
        self._stamp: Stamp = ()

    def credentials(self) -> grpc.ServerCredentials:
        """Return credentials that look at the files at every handshake; raises OSError if they cannot be read now."""
        self._stamp = self._look()
        # The stubs do not know that None means: keep the one in use.
        fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", self._changed)
        return grpc.dynamic_ssl_server_credentials(self._read(), fetch)

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the new certificate, or None to keep the one in use; gRPC calls this from threads of its own."""
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return None
            configuration = self._read()
        except OSError as error:
            self._log.error("the TLS files cannot be read; the certificate in use stays", error=str(error))
            return None
        self._stamp = stamp
        self._log.info("the TLS certificate was read anew", cert=str(self._cert))
        return configuration

    def _look(self) -> Stamp:
        stats = [path.stat() for path in (self._cert, self._key)]
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in stats)

    def _read(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(self._key.read_bytes(), self._cert.read_bytes())])
