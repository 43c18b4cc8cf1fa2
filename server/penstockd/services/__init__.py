"""The contract's services: who may ask what of each, and how it answers."""
