"""``/console``: one page for the person on call, rendered here, that asks no other host."""
