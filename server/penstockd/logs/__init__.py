"""What operators read: how lines are written, folded and redacted, and the thread that writes them."""
