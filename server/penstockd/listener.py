"""Where a gRPC server listens, and why it cannot, in words for the operator: gRPC keeps those to itself."""

import errno
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import grpc

LONGEST_KNOCK = 1.0
"""Seconds that whoever has a socket may take to show that it is there."""


class CannotListen(Exception):
    """An address is taken, or not ours to take; the message is one line for the operator."""

    def __init__(self, address: str, setting: str, refusal: OSError | None) -> None:
        """`refusal` is what the system said, if it is known; `setting` is what an operator changes."""
        super().__init__(f"cannot listen on {address}: {_words(refusal)}; {setting} chooses another")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A gRPC server and where it listens: an address as gRPC writes it, in plaintext without credentials.

    `setting` is what an operator changes to have it listen elsewhere.
    """

    server: grpc.aio.Server
    address: str
    setting: str
    credentials: grpc.ServerCredentials | None = None

    def bind(self) -> int:
        """Take the address and return its port; raises CannotListen."""
        if self.address.startswith("unix:") and (taken := _occupied(self.address.removeprefix("unix:"))):
            # gRPC would take the path away from whoever has it.
            raise CannotListen(self.address, self.setting, taken)
        try:
            if self.credentials is None:
                return self.server.add_insecure_port(self.address)
            return self.server.add_secure_port(self.address, self.credentials)
        except RuntimeError as error:
            raise CannotListen(self.address, self.setting, _refusal(self.address)) from error


def _words(refusal: OSError | None) -> str:
    match refusal:
        case OSError(errno=errno.EADDRINUSE):
            return "it is taken"
        case OSError(errno=errno.EADDRNOTAVAIL):
            return "it is not an address of this machine"
        case socket.gaierror(strerror=str(reason)):
            return reason
        case OSError(errno=int(number)):
            return os.strerror(number)
    return "it is taken, or not an address of this machine"


def _occupied(path: str) -> OSError | None:
    """Why this socket is somebody's, if it is; one that a daemon left when it was killed stands in nobody's way."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(LONGEST_KNOCK)
        try:
            asking.connect(path)
        except (ConnectionRefusedError, FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError as error:
            return error
        except OSError:
            pass  # whoever has it is there, and too busy to answer
    return OSError(errno.EADDRINUSE, "")


def _refusal(address: str) -> OSError | None:
    """What the system says to a try of our own, as gRPC tells nobody what it was told."""
    try:
        if address.startswith("unix:"):
            path = address.removeprefix("unix:")
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(path)
            Path(path).unlink()
        else:
            host, _, port = address.rpartition(":")
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
                listening.bind((host.strip("[]"), int(port)))
    except OSError as error:
        return error
    return None
