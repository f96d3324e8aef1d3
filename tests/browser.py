"""A headless Chromium that a test drives through its own pipe, and axe-core to look for what people cannot use."""

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("SEGFAST_CACHE") or Path.home() / ".cache" / "segfast-edge")
AXE = CACHE / "axe" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip


def axe() -> str:
    """Return axe-core's source, or skip the test."""
    if not AXE.is_file():
        pytest.skip(f"axe-core is not installed. Run: npm install --prefix {AXE.parents[2]} axe-core")
    return AXE.read_text()


class Tab:
    """One tab, spoken to in the DevTools protocol."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = open(commands, "wb", 0), open(answers, "rb", 0)  # noqa: SIM115
        self._numbers, self._rest, self._session = itertools.count(1), b"", None
        self.requested: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.send(f"{domain}.enable")

    def _message(self) -> dict:
        while b"\0" not in self._rest:
            more = os.read(self._answers.fileno(), 1 << 16)
            assert more, "Chromium ended"
            self._rest += more
        text, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(text)
        if message.get("method") == "Network.requestWillBeSent":
            self.requested.append(message["params"]["request"]["url"])
        return message

    def send(self, method: str, **words) -> dict:
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": words}
        if self._session:
            command["sessionId"] = self._session
        self._commands.write(json.dumps(command).encode() + b"\0")
        while (message := self._message()).get("id") != number:
            pass
        assert "error" not in message, f"{method}: {message.get('error')}"
        return message["result"]

    def show(self, address: str, width: int, scheme: str) -> None:
        """Open a page in a window so wide, for a person who prefers this scheme."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600
        )
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.send("Page.navigate", url=address)
        while self._message().get("method") != "Page.domContentEventFired":
            pass

    def value(self, script: str):
        """Return what a script evaluates to, once it is there if it is a promise."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str, code: int) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def picture(self, path: Path) -> None:
        """Write what the window shows, from top to bottom of the page."""
        data = self.send("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        self._commands.close()
        self._answers.close()


@contextlib.contextmanager
def chromium() -> Iterator[Tab]:
    """Start Chromium and give a tab; skip the test if it is not installed."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        pytest.skip("Chromium is not installed. Run: apt-get install chromium")
    from_us, to_us = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(prefix="segfast-browser-", ignore_cleanup_errors=True) as profile:
        command = [program, *OPTIONS, f"--user-data-dir={profile}"]
        script = f'exec "$@" 3<&{from_us[0]} 4>&{to_us[1]}'
        process = subprocess.Popen(
            ["bash", "-c", script, "chromium", *command], pass_fds=(from_us[0], to_us[1]),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(from_us[0])
        os.close(to_us[1])
        tab = Tab(from_us[1], to_us[0])
        try:
            yield tab
        finally:
            tab._session = None
            with contextlib.suppress(AssertionError, OSError):  # it may end before it has answered
                tab.send("Browser.close")
            process.wait(240)
            tab.close()
