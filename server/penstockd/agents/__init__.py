"""The kinds of agents."""
