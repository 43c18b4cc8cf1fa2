"""Says who is calling."""

from collections.abc import Callable

from penstockd.call import Call, Handler, Q
from penstockd.errors import Unauthenticated
from penstockd.principal import Principal

Authenticate = Callable[[str | None], Principal | None]
"""From the one authorization value, or None without one, to the caller, or None if it is not believed."""


class Auth:
    """Refuses a call whose credentials are not believed, and notes whose it is."""

    def __init__(self, authenticate: Authenticate) -> None:
        """Believe what `authenticate` believes."""
        self._authenticate = authenticate

    async def __call__(self, call: Call[Q], proceed: Handler[Q]) -> None:
        """Proceed for a known caller, else raise Unauthenticated."""
        credentials = call.values("authorization")
        principal = None if len(credentials) > 1 else self._authenticate(credentials[0] if credentials else None)
        if principal is None:
            raise Unauthenticated("the call carries no valid credentials")
        call.outcome.principal = principal
        await proceed(call)


def everyone_is(tenant: str) -> Authenticate:
    """Development's way: whoever calls is `tenant`."""
    principal = Principal(tenant=tenant)

    def authenticate(_credential: str | None) -> Principal:
        return principal

    return authenticate
