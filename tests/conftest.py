"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# The machines that run them are shared: how long one example takes says nothing. Whether the suite
# passes is not to be decided by chance, so a property is asked the same each time; other draws are
# for `make properties` and `make never-dialled`.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.register_profile("drawn", deadline=None, print_blob=True)
settings.load_profile("suite")
