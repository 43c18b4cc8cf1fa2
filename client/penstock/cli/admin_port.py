"""A daemon's admin port, as the command asks it."""

import json
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

from penstock.cli.board import Snapshot
from penstock.errors import PenstockError, PermissionDenied, Unauthenticated, Unreachable

DEFAULT = "http://127.0.0.1:9464"
LARGEST = 4 * 1024 * 1024
"""Bytes of a snapshot; a daemon's is a hundredth of that."""


class AdminPort:
    """Asks for snapshots, of that host and of nobody it might point to: the token goes nowhere else."""

    def __init__(self, url: str, *, token: str, timeout: float) -> None:
        """`url` is that of the port, such as http://127.0.0.1:9464, and `token` may end with a line break, as files do.

        Raises ValueError, which does not quote the token, where they are none.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise ValueError(f"{url!r} is not the URL of an admin port, such as {DEFAULT}")
        self._url = url.rstrip("/")
        self._connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._host, self._port = parts.hostname, parts.port
        self._path = f"{parts.path.rstrip('/')}/status"
        token = token.strip()
        if not token.isprintable():
            raise ValueError("PENSTOCK_ADMIN_TOKEN must be one line of text: set it to the daemon's admin.token")
        # A daemon's token may be any text, and is compared as UTF-8.
        self._headers = {"authorization": f"Bearer {token}".encode()} if token else {}
        self._timeout = timeout
        self._refused = (
            "does not know the token in PENSTOCK_ADMIN_TOKEN: set it to the daemon's admin.token"
            if token
            else "needs its admin token: set PENSTOCK_ADMIN_TOKEN"
        )

    def snapshot(self) -> Snapshot:
        """Return what the daemon shows; raises Unreachable, Unauthenticated or PermissionDenied."""
        connection = self._connect(self._host, self._port, timeout=self._timeout)
        try:
            connection.request("GET", self._path, headers=self._headers)
            return self._read(connection.getresponse())
        except OSError as error:
            raise Unreachable(f"no daemon shows itself at {self._url}: {str(error) or type(error).__name__}") from error
        except HTTPException as error:
            found = f"what answers at {self._url} is no admin port: the daemon's admin.listen says where that is"
            raise Unreachable(found) from error
        finally:
            connection.close()

    def _read(self, response: HTTPResponse) -> Snapshot:
        match response.status:
            case 200:
                pass
            case 401:
                raise Unauthenticated(f"{self._url} {self._refused}")
            case 403 | 421:
                raise PermissionDenied(f"{self._url} answers under another name only")
            case other:
                raise PenstockError(f"{self._url} answered with HTTP status {other}")
        try:
            read = json.loads(response.read(LARGEST))
        except ValueError as error:
            raise PenstockError(f"what {self._url} answers is no snapshot") from error
        if not isinstance(read, dict) or "problems" not in read:
            raise PenstockError(f"what {self._url} answers is no snapshot")
        return read
