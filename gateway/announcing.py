"""What a serving process tells the command line of itself: which policy and which configuration it
has in force, and why not the newest; and what has failed in the background.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway import __version__
from gateway.config.configuration import ConfigurationStore
from gateway.config.presence import Announcement, Presence
from gateway.config.reload import PolicyStore
from gateway.configured import Configured
from gateway.serving import ServeOptions
from gateway.telling import Telling


class Announcing:
    """``telling`` writes it down. ``works`` tells what has failed of late."""

    def __init__(
        self,
        run_dir: Path,
        options: ServeOptions,
        policy_dir: Path,
        policies: PolicyStore,
        configuration: ConfigurationStore[Configured],
        works: Callable[[], Mapping[str, str]],
    ) -> None:
        self._file = Announcement(run_dir)
        self._options = options
        self._policy_dir = str(policy_dir)
        self._policies = policies
        self._configuration = configuration
        self._works = works
        self._told: Presence | None = None
        self.telling = Telling(self.begin, "gateway.policy", "not_told")

    @property
    def problem(self) -> str | None:
        """Why the newest configuration is not in force, here or in the main process."""
        return self._configuration.problem or self._configuration.current.publication.problem

    def begin(self) -> None:
        """The first time, when it must be there. Raises ``StateError``."""
        presence = self._presence()
        self._file.publish(presence)
        self._told = presence

    def again(self) -> None:
        """To be called every so often: tells what is otherwise than was told last, or was not."""
        if self._presence() != self._told:
            self.telling.tell()

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
            background=self._works(),
        )
