"""The mutations still fit the sources that they break."""

import re
from pathlib import Path

import pytest

from mutations.run import ROOT, Mutation, apply, mutations


@pytest.mark.parametrize("mutation", mutations(), ids=lambda mutation: mutation.patch.stem)
def test_a_mutation_fits_and_names_tests_that_exist(mutation: Mutation, tmp_path: Path) -> None:
    """Else `make mutants` would prove nothing."""
    (changed,) = re.findall(r"^\+\+\+ b/(.+)$", mutation.patch.read_text(encoding="utf-8"), re.MULTILINE)
    copy = tmp_path / changed
    copy.parent.mkdir(parents=True)
    copy.write_bytes((ROOT / changed).read_bytes())

    apply(mutation.patch, tmp_path)

    assert copy.read_bytes() != (ROOT / changed).read_bytes()
    assert mutation.tests
    for test in mutation.tests:
        path, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / path).read_text(encoding="utf-8")
