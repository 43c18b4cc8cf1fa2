"""Secrets that stand in a configuration file which everybody can read."""

from collections.abc import Iterator, Mapping

from penstockd.config.context import Context
from penstockd.config.errors import dotted
from penstockd.config.places import is_public
from penstockd.config.secret_values import secrets_in
from penstockd.config.section import Section
from penstockd.config.substitution import refers
from penstockd.logs.redaction import MASK


def exposed(settings: Section, context: Context) -> Iterator[str]:
    """What people should be told of the file that `settings` come from: nothing, or which secrets of theirs it shows.

    A URL without credentials is none, nor what the file has from elsewhere, as by `${NAME}` or `{file: PATH}`. In
    development nobody else is thought to be on the machine.
    """
    if not context.is_guarded or context.file is None or not is_public(context.file):
        return
    literal = [
        dotted(path)
        for path, secret in secrets_in(settings)
        if MASK in str(secret) and _is_literal(context.document, path)
    ]
    if literal:
        yield (
            f"{context.file} can be read by every user of this machine, and so can what it says of "
            f"{', '.join(literal)}: chmod o-r it, or move each secret to a file of its own, {{file: PATH}}"
        )


def _is_literal(document: object, path: tuple[str, ...]) -> bool:
    for name in path:
        document = document.get(name) if isinstance(document, Mapping) else None
    return isinstance(document, str) and not refers(document)
