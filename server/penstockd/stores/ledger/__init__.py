"""The ledger on a database: SQLite in one file, or PostgreSQL shared by several daemons."""
