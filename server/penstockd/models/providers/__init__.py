"""Providers: handlers that turn a prompt into an answer, each by asking another upstream."""
