"""Opens the ledger that the settings name."""

from pathlib import Path
from random import random
from urllib.parse import unquote, urlsplit

from penstockd import conventions as names
from penstockd.clock import Clock
from penstockd.config import ConfigError, ConfigErrors, Settings
from penstockd.ledger import CannotOpenLedger
from penstockd.logs.log import Log
from penstockd.metrics.instruments import Instruments
from penstockd.stores.ledger.database import Database
from penstockd.stores.ledger.postgres import PostgresDatabase
from penstockd.stores.ledger.postgres_engine import engine
from penstockd.stores.ledger.sqlite import SqliteDatabase
from penstockd.stores.ledger.stored_ledger import StoredLedger


def open_ledger(settings: Settings, *, clock: Clock, log: Log, instruments: Instruments) -> StoredLedger:
    """Return the ledger, to be started; raises CannotOpenLedger."""
    commits = instruments.histogram(
        names.PENSTOCK_LEDGER_COMMIT_DURATION,
        unit="s",
        description="Duration of commits to the ledger.",
        labels=(),
        bounds=names.COMMIT_SECONDS,
    )
    return StoredLedger(
        _database(settings),
        retention=settings.ledger.retention,
        clock=clock,
        random=random,
        log=log,
        committed=commits.of().observe,
    )


def check_driver(settings: Settings) -> None:
    """Open nothing; raises ConfigErrors where its driver is not installed, or hosts do not go together."""
    url = _url(settings)
    if _is_postgresql(url):
        try:
            engine(url).dispose()
        except CannotOpenLedger as error:
            raise ConfigErrors([ConfigError("database_url", str(error))]) from error


def _database(settings: Settings) -> Database:
    url = _url(settings)
    if _is_postgresql(url):
        return PostgresDatabase(url)
    return SqliteDatabase(_file(settings.state_dir, url), is_durable=settings.ledger.durability == "power")


def _url(settings: Settings) -> str:
    return settings.database_url.reveal() if settings.database_url else ""


def _is_postgresql(url: str) -> bool:
    return url.startswith("postgresql:")


def _file(state_dir: Path, url: str) -> Path:
    """The file of a SQLite URL, whose relative paths start in the state directory; there, too, without a URL."""
    return state_dir / (unquote(urlsplit(url).path[1:]) or "ledger.db")
