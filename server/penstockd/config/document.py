"""The configuration file as a tree."""

from pathlib import Path

from penstockd.config.errors import ConfigError, ConfigErrors, Mistake
from penstockd.config.places import read_text
from penstockd.config.tree import Tree
from penstockd.config.yaml_text import NotYaml, parse_yaml


def read_document(path: Path, named_by: str) -> Tree:
    """What the file says, unchecked; an empty file says nothing.

    Raises ConfigErrors if it is no map in YAML, or not there for `named_by`, which is where people say which file.
    """
    try:
        tree = parse_yaml(read_text(path))
    except Mistake as mistake:
        message, meant = mistake.message, None
        if named_by.endswith("_FILE"):  # then the path is the text of a file, which may be the configuration itself
            message, meant = "must name a file whose text is the path of one that can be read", "PENSTOCK_CONFIG"
        raise ConfigErrors([ConfigError(named_by, message, meant)]) from mistake
    except NotYaml as error:
        raise ConfigErrors([ConfigError(f"{path}:{error.line}:{error.column}", error.problem)]) from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigErrors([ConfigError(str(path), "must be a map of settings")])
    return tree
