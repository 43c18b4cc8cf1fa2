"""Side-by-side measurements: what the daemon costs beside a bare relay to the same upstream."""
