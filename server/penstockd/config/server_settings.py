"""The listeners: the gRPC server, the admin port, and the log they write."""

from typing import Annotated, Final, Literal

from annotated_types import Le, Lt
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from penstockd.config.address import Address, TcpAddress
from penstockd.config.context import Context
from penstockd.config.errors import Mistake
from penstockd.config.places import ListenAddress, PrivateFile, ReadableFile, TcpListenAddress
from penstockd.config.quantities import Count, Duration, Size, Time, Whole
from penstockd.config.secret import SecretText
from penstockd.config.section import Section

_LARGEST_MESSAGE: Final = 2**31 - 1


def unless_development(development: object, otherwise: object) -> BeforeValidator:
    """A default that depends on the environment."""

    def choose(value: object, info: ValidationInfo[Context]) -> object:
        if value is not None:
            return value
        return development if info.context.is_development else otherwise

    return BeforeValidator(choose)


def _room_for_a_call(streams: int) -> int:
    if streams < 2:
        raise Mistake("must be at least 2: an AgentClient's health watch takes one for good")
    return streams


class MaxCallSettings(Section):
    """The longest a call may take, whatever its caller says, in seconds."""

    unary: Time = 120.0
    stream: Time = 600.0


class TlsSettings(Section):
    """The server's certificate; with `client_ca`, callers need one too."""

    cert: ReadableFile
    key: PrivateFile
    client_ca: ReadableFile | None = None


class ServerSettings(Section):
    """The gRPC server."""

    insecure: bool = False
    tls: TlsSettings | None = None
    listen: ListenAddress = TcpAddress("127.0.0.1", 50051)
    health_listen: ListenAddress | None = None
    reflection: Annotated[bool, unless_development(development=True, otherwise=False)] = Field(
        default=None, validate_default=True
    )
    default_timeout: Time = 30.0
    max_call: MaxCallSettings = MaxCallSettings()
    max_in_flight: Count = 1000
    max_message_bytes: Annotated[Size, Le(_LARGEST_MESSAGE)] = 4 * 2**20
    max_concurrent_streams: Annotated[Whole, Lt(2**31), AfterValidator(_room_for_a_call)] = 1000
    drain_delay: Annotated[Duration, unless_development(development="0s", otherwise="5s")] = Field(
        default=None, validate_default=True
    )
    drain_timeout: Duration = 30.0

    @property
    def is_exposed(self) -> bool:
        """Whether what callers say crosses a network in plaintext."""
        return self.tls is None and not self.listen.is_loopback

    @property
    def requires_certificates(self) -> bool:
        """Whether callers must have a certificate of their own."""
        return self.tls is not None and self.tls.client_ca is not None

    @field_validator("listen")
    @classmethod
    def _is_guarded(cls, listen: Address, info: ValidationInfo[Context]) -> Address:
        is_plaintext = info.data.get("tls", "broken") is None
        if info.context.is_guarded and is_plaintext and not info.data.get("insecure", True) and not listen.is_loopback:
            raise Mistake(
                f"plaintext beyond loopback is refused in {info.context.environment}: "
                "configure server.tls, or spell out server.insecure: true"
            )
        return listen


class AdminSettings(Section):
    """The HTTP port for operators."""

    token: SecretText | None = None
    listen: TcpListenAddress = TcpAddress("127.0.0.1", 9464)

    @field_validator("listen")
    @classmethod
    def _is_locked(cls, listen: TcpAddress, info: ValidationInfo[Context]) -> TcpAddress:
        has_no_token = info.data.get("token", "broken") is None
        if has_no_token and not listen.is_loopback:
            raise Mistake("beyond loopback admin.token is required, in any environment")
        return listen


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class LogSettings(Section):
    """What is logged, and how it looks; `auto` is JSON, pretty on a terminal."""

    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)] = "INFO"
    format: Literal["auto", "json", "pretty"] = "auto"
