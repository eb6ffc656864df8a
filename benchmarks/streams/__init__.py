"""Many event streams at once."""
