"""One policy a file, each written once for unary calls and streams."""
