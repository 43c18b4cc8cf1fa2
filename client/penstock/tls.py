"""How the connections to a daemon are secured."""

import ssl
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import grpc

from penstock.target import HOST

_File = str | PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TLS:
    """Which PEM files secure the connection: the authority to trust (else the usual ones), and our own identity.

    That identity is a certificate and its key: one without the other is a ValueError. The daemon's certificate must
    name the target's host, or `server_name`, which the calls then name as well; over unix:PATH that host is localhost,
    and several addresses have none, so that they need a `server_name`.

    The files are read once, as a client is made with this: once they are renewed, it takes a new client to show them.
    """

    ca: _File | None = None
    cert: _File | None = None
    key: _File | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        # gRPC ends the whole process over half a pair.
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together: give both")
        if self.server_name is not None and not HOST.fullmatch(self.server_name):
            raise ValueError(
                f"server_name {self.server_name!r} is no host: it is the name in a certificate, without a port"
            )

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files; raise OSError for one that cannot be read, ValueError for what cannot be used."""
        ca, key, cert = (None if file is None else Path(file).read_bytes() for file in (self.ca, self.key, self.cert))
        # gRPC would log what is wrong and fail each call with something else, or end the whole process.
        if ca is not None:
            self._check_authority(ca)
        if self.cert is not None and self.key is not None:
            if not (cert and key):
                raise ValueError(self._no_pair)
            self._check_pair(Path(self.cert), Path(self.key))
        return grpc.ssl_channel_credentials(ca, key, cert)

    def name_at(self, address: str) -> str | None:
        """Return the name that is asked for at `address`, as gRPC writes that, or None for its own host.

        Raises ValueError for several addresses: gRPC would look for all of them, as one name, in each certificate.
        """
        if self.server_name is None and address.startswith(("ipv4:", "ipv6:")) and "," in address:
            raise ValueError("several addresses with TLS need the name in their certificate: give server_name")
        if self.server_name is None and address.startswith(("unix:", "unix-abstract:")):
            return "localhost"
        return self.server_name

    def _check_authority(self, ca: bytes) -> None:
        # What is no ASCII may be said around certificates, but not within; OpenSSL takes its own kind only from files.
        text = ca.decode("ascii", "backslashreplace").replace(" TRUSTED CERTIFICATE-", " CERTIFICATE-")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(f"{self.ca} must be certificates in PEM") from error

    def _check_pair(self, cert: Path, key: Path) -> None:
        # OpenSSL reads a pair only from files, and a pipe cannot be read again.
        if not (cert.is_file() and key.is_file()):
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Which algorithms are good enough is for gRPC to say.
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        try:
            context.load_cert_chain(cert, key, password="")
        except ssl.SSLError as error:
            raise ValueError(self._unlike_a_pair(error)) from error

    @property
    def _no_pair(self) -> str:
        return f"{self.cert} must be a certificate in PEM, and {self.key} its key in PEM without a passphrase"

    def _unlike_a_pair(self, error: ssl.SSLError) -> str:
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"the key and the certificate do not belong together: {self.key}, {self.cert}"
        return self._no_pair
