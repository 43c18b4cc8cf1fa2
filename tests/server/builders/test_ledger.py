"""The settings say where the ledger is."""

from pathlib import Path

import pytest

from fakes.clock import FakeClock
from fakes.config_file import ConfigFile
from penstockd.builders.ledger import check_driver, open_ledger
from penstockd.config import ConfigErrors, Settings
from penstockd.ledger import CannotOpenLedger
from penstockd.logs.log import Log
from penstockd.metrics.instruments import Instruments


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("", "state/ledger.db"),
        ("sqlite:///other.db", "state/other.db"),
        ("sqlite:///a%20b/c.db", "state/a b/c.db"),
        ("sqlite:///{root}/elsewhere.db", "elsewhere.db"),
    ],
)
async def test_a_file_is_in_the_state_directory_unless_it_says_otherwise(
    config: ConfigFile, tmp_path: Path, url: str, file: str
) -> None:
    """An absolute path has one slash more."""
    ledger = open_ledger(settings(config, tmp_path, url), clock=FakeClock(), log=Log("test"), instruments=Instruments())

    assert (tmp_path / file).is_file()
    await ledger.stop()


def test_postgresql_is_asked_where_the_url_says_so(config: ConfigFile, tmp_path: Path) -> None:
    """No file is made beside it."""
    with pytest.raises(CannotOpenLedger, match="PostgreSQL says"):
        open_ledger(
            settings(config, tmp_path, "postgresql://u@127.0.0.1:1/d"),
            clock=FakeClock(),
            log=Log("test"),
            instruments=Instruments(),
        )

    assert not (tmp_path / "state").exists()


def test_hosts_that_do_not_go_together_are_a_mistake(config: ConfigFile, tmp_path: Path) -> None:
    """It is found without asking any of them; hosts that do are none."""
    with pytest.raises(
        ConfigErrors, match=r"database_url: .* hosts and ports don't match; .*host=db1:5432&host=db2:5432"
    ):
        check_driver(settings(config, tmp_path, "postgresql://u@/d?host=a&port=1,2"))

    check_driver(settings(config, tmp_path, "postgresql://u@/d?host=a:1&host=b:2&target_session_attrs=read-write"))


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite://ledger.db", "sqlite:///a.db?mode=ro", "mysql://h/d"]
)
def test_a_url_that_names_no_database_is_a_mistake(config: ConfigFile, url: str) -> None:
    """It is found with the rest of the configuration's."""
    (line,) = config.mistakes(f"database_url: '{url}'")

    assert line.startswith("database_url: must be ")


def settings(config: ConfigFile, root: Path, url: str) -> Settings:
    """The settings with this database_url."""
    database = f"database_url: '{url.format(root=root)}'\n" if url else ""
    return config.load(f"models: {{m: {{provider: echo}}}}\nstate_dir: {root}/state\n{database}")
