"""Whatever a file says, the answer is settings or mistakes, never a traceback."""

import json
import re
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from every_setting import every_setting
from penstockd.config import ConfigErrors, Settings, describe, load

WORDS = sorted({word for path in every_setting(Settings) for word in re.findall(r"\w+", path)})
SCALARS = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -1,
        0.5,
        10**18,
        "",
        "off",
        "a",
        "echo",
        "openai",
        "5s",
        "1MiB",
        "1/s",
        "${A}",
        "h:1",
        "a:b",
    ]
)
TREES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(WORDS), below, max_size=4),
    max_leaves=12,
)
SECTIONS = st.dictionaries(st.sampled_from([*Settings.model_fields]), TREES, max_size=6)


@settings(max_examples=300, deadline=None)
@given(SECTIONS)
def test_any_tree_gives_settings_or_mistakes(tree: dict[str, object]) -> None:
    """And settings can be shown."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "penstock.yaml")
        file.write_text(json.dumps(tree), encoding="utf-8")

        try:
            shown = describe(load(path=file, environ={}, flags={}))
        except ConfigErrors as errors:
            shown = str(errors)

    assert shown
