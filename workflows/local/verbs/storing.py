"""The store of this machine, for a command that may want it later, in a thread beside other work."""

import os
from threading import Lock

from steps.ports.store import Store
from workflows.config import Config
from workflows.local.verbs import session


class Later:
    """Starts what is ours, and makes a client, when it is called first.

    The other threads start model servers from this process's environment meanwhile. Nothing may leave that while they
    read it, so the keys to other stores leave it here, when this is made, and come back only where they are needed.
    """

    def __init__(self, config: Config) -> None:
        self._config, self._lock = config, Lock()
        self._environ = dict(os.environ)
        self._begun: session.Session | None = None
        for name in session.S3_VARIABLES:
            os.environ.pop(name, None)

    def __call__(self) -> Store:
        """Raises Transient, Failed, BadInput."""
        from steps.clients import store

        with self._lock:
            if self._begun is None:
                begun = session.begin(self._config, self._environ)
                session.become(begun)
                self._begun = begun
            return store.connect(self._begun.settings)
