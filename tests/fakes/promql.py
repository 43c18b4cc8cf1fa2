"""What a PromQL expression names, found without Prometheus."""

import re

from penstockd import conventions

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_LISTED = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTED = re.compile(r"\{([^}]*)\}")
_LABEL = re.compile(r"\b([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)")
_NAME = re.compile(r"(?<![\w:.$])[a-zA-Z_:][\w:]*(?!\s*\()(?![\w:])")
_WORDS = {"and", "or", "unless", "offset", "bool", "by", "without", "on", "ignoring", "group_left", "group_right"}

SUFFIXES = ("", "_total", "_bucket", "_sum", "_count")
UNITS = ("", "_seconds", "_bytes", "_usd")
PROMETHEUS_OWN = {"up"}
OTHER_LABELS = {"job", "instance", "le", "version"}


def metrics_of(expression: str) -> set[str]:
    """The metrics it reads."""
    bare = _SELECTED.sub("", _LISTED.sub("", _TEXT.sub("", expression)))
    return set(_NAME.findall(re.sub(r"\[[^\]]*\]|\boffset\s+\w+", "", bare))) - _WORDS


def labels_of(expression: str) -> set[str]:
    """The labels it selects, or keeps."""
    bare = _TEXT.sub("", expression)
    selected = {label for braces in _SELECTED.findall(bare) for label in _LABEL.findall(braces)}
    return selected | {
        label.strip() for listed in _LISTED.findall(bare) for label in listed.split(",") if label.strip()
    }


def metric_names() -> set[str]:
    """Every name that one of ours could have at Prometheus."""
    return {f"{name}{unit}{suffix}" for name in label_names() for unit in UNITS for suffix in SUFFIXES}


def label_names() -> set[str]:
    """Every name of telemetry, as Prometheus writes it."""
    values = (value for value in vars(conventions).values() if isinstance(value, str))
    return {value.replace(".", "_") for value in values} | OTHER_LABELS
