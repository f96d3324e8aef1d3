"""Opens another model while the present one continues to work."""

import logging
import threading
from collections.abc import Callable

from targets.runner.model import Model, ModelChoice, open_model
from targets.runner.threads import Crashed, worker

log = logging.getLogger("segfast.runner")


class Loader:
    """Opens what was last asked for and hands it over; if that fails the present model stays in use."""

    def __init__(self, adopt: Callable[[Model], None], crashed: Crashed) -> None:
        self._adopt = adopt
        self._crashed = crashed
        self._lock = threading.Lock()
        self._wanted: ModelChoice | None = None
        self._busy = False
        self.loads = 0
        self.failures = 0
        self.trouble = ""

    def request(self, choice: ModelChoice) -> None:
        """Ask for a model; a request that comes while another is being opened is next, and replaces one waiting."""
        with self._lock:
            self._wanted = choice
            if self._busy:
                return
            self._busy = True
        worker("model loader", self._run, self._crashed).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                choice, self._wanted = self._wanted, None
                if choice is None:
                    self._busy = False
                    return
            self._load(choice)

    def _load(self, choice: ModelChoice) -> None:
        try:
            model = open_model(choice)
        except Exception as error:
            # an engine may raise anything on a damaged file; the model in use is not touched by that
            log.warning("could not load model %s; keeping the current one", choice.artifact, exc_info=error)
            self.failures += 1
            self.trouble = f"{type(error).__name__}: {error}"
            return
        self.loads += 1
        self.trouble = ""
        log.info("model %s is loaded", choice.artifact)
        self._adopt(model)
