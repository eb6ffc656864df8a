"""``/admin``: what operators ask a running gateway and tell it, and who they are."""
