"""Providers: what turns a prompt into an answer."""
