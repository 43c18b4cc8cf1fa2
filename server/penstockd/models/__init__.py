"""The pool of models: providers, prices, and routes through them."""
