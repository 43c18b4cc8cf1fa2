"""The Penstock daemon."""
