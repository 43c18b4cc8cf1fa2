"""One policy a file, each written once for unary calls and streams; what they stand on is in the folders."""
