"""A module that raises, as it is imported, what otherwise comes of Ctrl-C."""

raise KeyboardInterrupt
