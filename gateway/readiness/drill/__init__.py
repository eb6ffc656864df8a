"""``gateway drill``: practising a ban, and what came of it."""
