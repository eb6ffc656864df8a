"""How the Python that runs this was built, as far as it says so itself.

Without the optimisations by a profile of its own run (``--enable-optimizations`` of CPython's
``configure``), which who compiles Python by hand, by pyenv or by asdf does not get unasked, a
relayed request takes about a tenth more of the processor's time.

``deploy/choose_python.py`` runs this file as a script, by any Python from 3.8 on and before
anything is installed: so it imports nothing of ours.
"""

from __future__ import annotations

import enum
import sys
import sysconfig

DISTRIBUTION = "/usr"
"""Where the packages of a distribution have their Python. They are optimised, and some do not say
so: Debian's and openSUSE's call the steps of the build by themselves.
"""


class Build(enum.Enum):
    """What is known of a build, in words for people."""

    OPTIMISED = "built with optimisations"
    DISTRIBUTION = "of the distribution"
    UNKNOWN = "built as it does not tell"
    PLAIN = "built without optimisations"
    DEBUG = "built for debugging"

    @property
    def slow(self) -> bool:
        """Known to be slower than it need be."""
        return self in (Build.PLAIN, Build.DEBUG)


def build() -> Build:
    """That of this process."""
    return told(
        sys.implementation.name,
        sysconfig.get_config_var("CONFIG_ARGS"),
        sys.base_prefix,
        debug=hasattr(sys, "gettotalrefcount"),
    )


def told(implementation: str, arguments: str | None, prefix: str, *, debug: bool) -> Build:
    """By the arguments of ``configure``, which other implementations, and builds for Windows, do
    not have, and by where it was installed to.
    """
    if implementation != "cpython" or not arguments:
        return Build.UNKNOWN
    if debug:
        return Build.DEBUG
    if "--enable-optimizations" in arguments:
        return Build.OPTIMISED
    return Build.DISTRIBUTION if prefix == DISTRIBUTION else Build.PLAIN


if __name__ == "__main__":
    sys.stdout.write(f"{build().name}\n")
