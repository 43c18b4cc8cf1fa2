"""What holds for every test."""

from hypothesis import settings

# A shared machine stalls now and then; a slow example is no wrong one, and the test's own timeout still bounds it.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
