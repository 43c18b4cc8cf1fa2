"""What every call is measured by, aggregated in this process and cheap enough to be always on."""
