"""A headless Chromium for the page tests, driven through its debugging pipe."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--hide-scrollbars",  # they would be cut off a picture of the whole page
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)


class PageError(Exception):
    """The page's script raised."""


class Browser:
    """One Chromium with one tab. Events of the network and of errors are kept in `events`."""

    def __init__(self) -> None:
        self._profile = tempfile.mkdtemp(prefix="chromium-test-")
        command_read, self._out = os.pipe()
        self._in, answer_write = os.pipe()
        line = [
            "bash",
            "-c",
            f'exec "$0" "$@" 3<&{command_read} 4>&{answer_write}',
            str(CHROMIUM),
            *_FLAGS,
            f"--user-data-dir={self._profile}",
            "about:blank",
        ]
        self._process = subprocess.Popen(
            line,
            pass_fds=(command_read, answer_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(command_read)
        os.close(answer_write)
        self._numbers = itertools.count(1)
        self._buffer = b""
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._in, 1 << 20)
            if not part:
                raise RuntimeError("chromium closed its pipe")
            self._buffer += part
        text, self._buffer = self._buffer.split(b"\0", 1)
        return dict(json.loads(text))

    def _call(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        request: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            request["sessionId"] = self._session
        data = json.dumps(request).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        while True:
            message = self._message()
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def open(self, path: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a page in a window of the given size and wait until it has painted."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.events.clear()
        self._call("Page.navigate", url=path.as_uri())
        for _ in range(600):
            if any(event["method"] == "Page.loadEventFired" for event in self.events):
                break
            time.sleep(0.02)
            self.run("1")
        self.settle()

    def paint_ms(self, path: Path) -> float:
        """Load a page and return the milliseconds from its navigation to two frames after it."""
        script = (
            "addEventListener('load', () => requestAnimationFrame(() => requestAnimationFrame("
            "() => { globalThis.paintedAt = performance.now(); })))"
        )
        self._call("Page.addScriptToEvaluateOnNewDocument", source=script)
        self.open(path)
        for _ in range(500):
            painted = self.run("globalThis.paintedAt ?? 0")
            if painted:
                return float(painted)
            time.sleep(0.02)
        raise RuntimeError(f"{path} did not load")

    def settle(self) -> None:
        """Wait for two frames, so that charts have drawn."""
        self.run("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => r(1))))")

    def run(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        answer = self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise PageError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def requests(self) -> list[str]:
        """Return the addresses the page asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[Any]:
        """Return errors and warnings the page raised, with policy violations among them."""
        found = []
        for event in self.events:
            if event["method"] == "Runtime.exceptionThrown":
                found.append(event["params"]["exceptionDetails"])
            elif event["method"] == "Log.entryAdded":
                found.append(event["params"]["entry"])
            elif event["method"] == "Runtime.consoleAPICalled":
                found.append(event["params"])
        return found

    def downloads_to(self, folder: Path) -> None:
        """Keep what pages save in a folder."""
        self._call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def wait_for(self, path: Path) -> str:
        """Return the text of a file that a page saves, once it is there."""
        return self.saved(path).read_text(encoding="utf-8-sig")

    def saved(self, path: Path) -> Path:
        """Return the path of a file that a page saves, once it is there."""
        for _ in range(500):
            if path.is_file() and path.stat().st_size:
                return path
            time.sleep(0.02)
        raise RuntimeError(f"the page did not save {path}")

    def screenshot(self, out: Path, *, full: bool = True) -> None:
        """Write a picture of the page."""
        answer = self._call("Page.captureScreenshot", captureBeyondViewport=full)
        out.write_bytes(base64.b64decode(answer["data"]))

    def close(self) -> None:
        """End the browser that this object started."""
        os.close(self._out)
        self._process.terminate()
        self._process.wait(timeout=20)
        os.close(self._in)
        shutil.rmtree(self._profile, ignore_errors=True)
