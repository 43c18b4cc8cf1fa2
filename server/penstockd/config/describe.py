"""Shows the effective configuration."""

import yaml

from penstockd.config.settings import Settings
from penstockd.config.substitution import escape


class _Dumper(yaml.SafeDumper):
    """Writes everything out, without anchors."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # the signature is PyYAML's
        """Whether `data` is written again where it comes again: always."""
        return True


def describe(settings: Settings) -> str:
    """The settings as a YAML file with secrets masked; apart from these it loads as the same settings."""
    tree = _escaped(settings.model_dump(exclude_none=True))
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _escaped(tree: object) -> object:
    match tree:
        case dict():
            return {name: _escaped(value) for name, value in tree.items()}
        case list() | tuple():
            return [_escaped(value) for value in tree]
        case str():
            return escape(tree)
        case _:
            return tree
