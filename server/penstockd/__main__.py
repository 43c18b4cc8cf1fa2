"""`python -m penstockd` is the `penstockd` command."""

import sys

from penstockd.cli import main

if __name__ == "__main__":
    sys.exit(main())
