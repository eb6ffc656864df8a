"""What a serving process tells the command line of itself: which policy and which configuration it
has in force, and why not the newest.
"""

from __future__ import annotations

import os
from pathlib import Path

from gateway import __version__
from gateway.config.configuration import ConfigurationStore
from gateway.config.presence import Announcement, Presence
from gateway.config.reload import PolicyStore
from gateway.configured import Configured
from gateway.serving import ServeOptions
from gateway.telling import Telling


class Announcing:
    """``telling`` writes it down, and again where it could not."""

    def __init__(
        self,
        run_dir: Path,
        options: ServeOptions,
        policy_dir: Path,
        policies: PolicyStore,
        configuration: ConfigurationStore[Configured],
    ) -> None:
        self._file = Announcement(run_dir)
        self._options = options
        self._policy_dir = str(policy_dir)
        self._policies = policies
        self._configuration = configuration
        self.telling = Telling(self.begin, "gateway.policy", "not_told")

    @property
    def problem(self) -> str | None:
        """Why the newest configuration is not in force, here or in the main process."""
        return self._configuration.problem or self._configuration.current.publication.problem

    def begin(self) -> None:
        """The first time, when it must be there. Raises ``StateError``."""
        self._file.publish(self._presence())

    def withdraw(self) -> None:
        """The process ends."""
        self._file.withdraw()

    def _presence(self) -> Presence:
        configuration = self._configuration.current
        return Presence(
            pid=os.getpid(),
            url=self._options.url,
            admin_url=self._options.admin_url,
            policy_dir=self._policy_dir,
            revision=self._policies.current.revision,
            configuration=configuration.revision,
            problem=self._policies.problem,
            configuration_problem=self.problem,
            version=__version__,
        )
