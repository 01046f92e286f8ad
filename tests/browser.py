"""A real browser: Chromium without a window, driven over a pipe by the DevTools protocol.

The messages are JSON, each with a zero byte behind it. Chromium reads them from file descriptor 3
and answers on 4 (`--remote-debugging-pipe`).
"""

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 60.0  # seconds to wait for an answer that normally takes a fraction of one
FLAGS = ("--headless", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage", "--no-sandbox")


def find() -> str | None:
    """The program, or None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page in a browser. What went wrong in it stands in `errors`, what it fetched in
    `requests`."""

    def __init__(self, program: str, profile: Path):
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._events: list[str] = []
        self._n, self._received = 0, b""
        theirs_in, self._out = map(_high, os.pipe())
        self._in, theirs_out = map(_high, os.pipe())
        command = [program, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe"]
        shell = ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash"]
        self._process = subprocess.Popen(
            [*shell, *command, "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """End the browser."""
        self._session = ""
        try:
            self.call("Browser.close")
        except (OSError, AssertionError):  # it is gone already
            self._process.kill()
        self._process.wait(PATIENCE)
        os.close(self._in)
        os.close(self._out)

    def open(self, file: Path) -> None:
        """Load a file and wait until it is there."""
        self.errors.clear()
        self.requests.clear()
        self._events.clear()
        self.call("Page.navigate", url=file.resolve().as_uri())
        self._read_until(lambda: "Page.loadEventFired" in self._events)

    def size(self, width: int, height: int) -> None:
        """The size of the window, in CSS pixels; a narrow one is a phone's."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)

    def media(self, kind: str = "screen", scheme: str = "light") -> None:
        """What the page is shown on: a screen or paper, light or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=kind, features=features)

    def run(self, script: str):
        """The value of an expression of JavaScript."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def call(self, method: str, **parameters: object) -> dict:
        """Call a method of the protocol and wait for its answer."""
        self._n += 1
        message = {"id": self._n, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        answers: dict[int, dict] = {}
        self._read_until(lambda: self._n in answers, answers)
        answer = answers[self._n]
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _read_until(self, done: Callable[[], bool], answers: dict | None = None) -> None:
        end = time.monotonic() + PATIENCE
        while not done():
            left = end - time.monotonic()
            assert left > 0, f"the browser did not answer for {PATIENCE:.0f} s"
            if not select.select([self._in], [], [], left)[0]:
                continue
            data = os.read(self._in, 2**20)
            assert data, "the browser is gone"
            *messages, self._received = (self._received + data).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    (answers if answers is not None else {})[message["id"]] = message
                else:
                    self._note(message["method"], message["params"])

    def _note(self, event: str, about: dict) -> None:
        self._events.append(event)
        if event == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(about["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning"):
            self.errors.append(json.dumps(about["args"]))
        elif event == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.errors.append(about["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])


def _high(descriptor: int) -> int:
    """The same file under a descriptor that is in nobody's way."""
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return high
