"""The ledger's tables, on either database."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, String, Table, literal_column

METADATA = MetaData()

ATTEMPTS = Table(
    "attempts",
    METADATA,
    Column("call_id", String, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("instance", BigInteger, nullable=False),
    Column("request_id", String, nullable=False),
    Column("tenant", String, nullable=False),
    Column("key", String, nullable=False),
    Column("user_id", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("model", String, nullable=False),
    Column("status", String, nullable=False),
    Column("uncached_input", BigInteger, nullable=False),
    Column("cached_input", BigInteger, nullable=False),
    Column("cache_write_input", BigInteger, nullable=False),
    Column("output", BigInteger, nullable=False),
    Column("reasoning", BigInteger, nullable=False),
    Column("cost_nanousd", BigInteger),
    Column("is_estimated", Boolean, nullable=False),
    Column("labels", String, nullable=False),
    sqlite_with_rowid=False,  # the key is the table: one tree to write to instead of two
)
"""A row per attempt; `instance` is the daemon that made it, `labels` a JSON object."""

IS_HELD = ATTEMPTS.c.status == literal_column("'held'")
"""Spelled out, not bound, so that SQLite finds the index of these rows."""

Index("attempts_by_time", ATTEMPTS.c.at_us)
Index("attempts_held", ATTEMPTS.c.instance, sqlite_where=IS_HELD, postgresql_where=IS_HELD)

DAYS = Table(
    "days",
    METADATA,
    Column("day", Integer, primary_key=True),
    Column("tenant", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("user_id", String, primary_key=True),
    Column("agent", String, primary_key=True),
    Column("model", String, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("first_requests", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost_nanousd", BigInteger, nullable=False),
    Column("cost_estimated_nanousd", BigInteger, nullable=False),
    Column("wasted_nanousd", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Old attempts by day (days since 1970-01-01 UTC). `requests` are calls that asked this model, `first_requests` those
that asked it first: the one sums up right by model, the other over models."""

SCHEMA = Table("schema_version", METADATA, Column("version", Integer, nullable=False))
"""One row: which schema the tables have."""
