"""How PostgreSQL is connected to: by what URL, and how watchfully."""

from typing import Final

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError

from penstockd.ledger import CannotOpenLedger

CONNECTION: Final = {
    "application_name": "penstockd",
    "connect_timeout": "3",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "5000",
}
"""How soon a server that has vanished is noticed; see libpq's connection parameters. The URL's own win."""
SESSION: Final = """
SELECT set_config(name, value, false)
FROM (VALUES ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '2'), ('tcp_keepalives_count', '3'),
             ('tcp_user_timeout', '5000')) AS ours (name, value)
JOIN pg_settings USING (name)
WHERE source <> 'client'
"""
"""How soon the server notices that we have vanished, and ends the session that signs for us. The URL's options win."""


def engine(url: str) -> Engine:
    """What will connect to `url`; raises CannotOpenLedger where its driver is not installed, or the URL is odd."""
    parsed = make_url(url)
    try:
        engine = create_engine(_complete(parsed), pool_pre_ping=True)
    except ImportError as error:
        raise CannotOpenLedger(
            f"a ledger in PostgreSQL needs psycopg: pip install 'penstock[postgres]' ({error})"
        ) from error
    except ArgumentError as error:
        raise CannotOpenLedger(
            f"cannot open the ledger: {error}; several in DATABASE_URL are written ?host=db1:5432&host=db2:5432"
        ) from error
    _check_parameters(parsed)
    event.listen(engine, "connect", _prepare)
    return engine


def _check_parameters(url: URL) -> None:
    """Refuse what is the driver's own and no text, such as `row_factory`: it would fail in the middle of something."""
    from psycopg.pq import Conninfo  # noqa: PLC0415 - it may not be installed

    unknown = url.query.keys() - {option.keyword.decode() for option in Conninfo.get_defaults()}
    if unknown:
        raise CannotOpenLedger(
            f"cannot open the ledger: PostgreSQL knows no {', '.join(sorted(unknown))}: take that out of DATABASE_URL, "
            "whose parameters are those of libpq"
        )


def _complete(url: URL) -> URL:
    """The URL with all that we ask of a connection."""
    query = {**CONNECTION, **url.query, "client_encoding": "utf8"}
    return url.set(drivername="postgresql+psycopg").update_query_dict(query)


def _prepare(connection: DBAPIConnection, _: object) -> None:
    """Let the server's end of a new connection be as watchful as ours; options would not get through every proxy."""
    connection.cursor().execute(SESSION)
    connection.commit()
