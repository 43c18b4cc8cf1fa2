"""Finds the secrets among settings, for those who have to keep them out of sight."""

from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

from penstockd.config.secret import Secret, SecretUrl
from penstockd.config.section import Section


def secret_values(settings: object) -> Iterator[str]:
    """Yield every secret text within `settings`; of a URL, its password too."""
    for _, secret in secrets_in(settings):
        yield secret.reveal()
        if isinstance(secret, SecretUrl):
            yield from _passwords(secret.reveal())


def secrets_in(settings: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Secret]]:
    """Yield every secret within `settings`, and the path to it."""
    match settings:
        case Secret():
            yield path, settings
        case Section():
            for name in type(settings).model_fields:
                yield from secrets_in(getattr(settings, name), (*path, name))
        case Mapping():
            for name, value in settings.items():
                yield from secrets_in(value, (*path, name))
        case tuple() | list():
            for index, value in enumerate(settings):
                yield from secrets_in(value, (*path, str(index)))


def _passwords(url: str) -> Iterator[str]:
    """The password as it is written, and as it is meant."""
    password = urlsplit(url).password
    if password:
        yield password
        yield unquote(password)
