"""A configuration file that a test writes and loads."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from types import MappingProxyType

import pytest

from penstockd.config import ConfigErrors, Settings, load

NOTHING: Mapping[str, str] = MappingProxyType({})


class ConfigFile:
    """Loads what a test writes, from a file of its own."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "penstock.yaml"

    def load(self, text: str, environ: Mapping[str, str] = NOTHING, **flags: object) -> Settings:
        """The settings; a flag's dots are written `__`."""
        self.path.write_text(dedent(text), encoding="utf-8")
        dotted = {name.replace("__", "."): value for name, value in flags.items()}
        return load(path=self.path, environ=environ, flags=dotted)

    def mistakes(self, text: str, environ: Mapping[str, str] = NOTHING) -> list[str]:
        """The lines that `penstockd check` would print."""
        with pytest.raises(ConfigErrors) as raised:
            self.load(text, environ)
        return [str(error) for error in raised.value.errors]
