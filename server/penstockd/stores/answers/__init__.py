"""Kept answers: what they look like where they lie, and aiocache's storage for them, bounded."""
