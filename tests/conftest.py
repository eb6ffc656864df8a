"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# The machines that run them are shared: how long one example takes says nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
