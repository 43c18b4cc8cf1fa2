"""Finds the secrets among settings, for those who have to keep them out of sight."""

from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

from penstockd.config.secret import Secret, SecretUrl
from penstockd.config.section import Section


def secret_values(settings: object) -> Iterator[str]:
    """Yield every secret text within `settings`; of a URL, its password too."""
    match settings:
        case SecretUrl():
            yield settings.reveal()
            yield from _passwords(settings.reveal())
        case Secret():
            yield settings.reveal()
        case Section():
            for name in type(settings).model_fields:
                yield from secret_values(getattr(settings, name))
        case Mapping():
            for value in settings.values():
                yield from secret_values(value)
        case tuple() | list():
            for value in settings:
                yield from secret_values(value)


def _passwords(url: str) -> Iterator[str]:
    """The password as it is written, and as it is meant."""
    password = urlsplit(url).password
    if password:
        yield password
        yield unquote(password)
