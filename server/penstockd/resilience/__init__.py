"""Pure, synchronous state machines: they are told what happened, and return decisions."""
