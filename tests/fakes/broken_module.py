"""A module whose import fails with an error of its own."""

raise RuntimeError("the database is down")
