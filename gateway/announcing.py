"""What a serving process tells the command line of itself: which policy and which configuration it
has in force, and why not the newest.
"""

from __future__ import annotations

import os
from pathlib import Path

import structlog

from gateway import __version__
from gateway.config.configuration import ConfigurationStore
from gateway.config.presence import Announcement, Presence
from gateway.config.reload import PolicyStore
from gateway.configured import Configured
from gateway.errors import StateError
from gateway.serving import ServeOptions


class Announcing:
    """What holds now holds whether or not that can be written down: what could not be is told
    ``again``.
    """

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
        self._untold = False

    @property
    def problem(self) -> str | None:
        """Why the newest configuration is not in force, here or in the main process."""
        return self._configuration.problem or self._configuration.current.publication.problem

    def begin(self) -> None:
        """The first time. Raises ``StateError``."""
        self._file.publish(self._presence())

    def tell(self) -> None:
        before = self._untold
        try:
            self._file.publish(self._presence())
        except StateError as error:
            self._untold = True
            if not before:
                structlog.get_logger("gateway.policy").error("not_told", problem=error.message)
        else:
            self._untold = False

    def again(self) -> None:
        """To be called every so often."""
        if self._untold:
            self.tell()

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
