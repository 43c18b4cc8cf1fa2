"""A module that ends whoever imports it, as a script does that was not meant to be imported."""

import sys

sys.exit(3)
