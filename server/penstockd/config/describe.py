"""Shows the effective configuration."""

import yaml

from penstockd.config.settings import Settings
from penstockd.config.substitution import escape
from penstockd.config.yaml_scalars import understand


class _Dumper(yaml.SafeDumper):
    """Writes everything out, without anchors; what any YAML may take for something else than text is in quotes."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # the signature is PyYAML's
        """Whether `data` is written again where it comes again: always."""
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    is_block = "\n" in text and not text[0].isspace() and all(line.isprintable() for line in text.split("\n"))
    style = None if text.isprintable() else "|" if is_block else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)
understand(_Dumper)


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
