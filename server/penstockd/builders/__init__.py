"""Builds the parts that the settings describe."""
