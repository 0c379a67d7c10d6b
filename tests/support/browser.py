"""A headless Chromium that a test drives by the DevTools protocol, over a pipe, without a port or a further package."""

import base64
import io
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deadlines import HANG

NEAR = 300  # pixels around the window in which shapes are drawn, as viewer.js has it
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = (
    "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--hide-scrollbars", "--force-device-scale-factor=1",
)  # fmt: skip
# Chromium reads commands from descriptor 3 and writes answers to 4.
WITH_PIPES = 'read=$1; write=$2; shift 2; exec "$@" 3<&"$read" 4>&"$write"'


def chromium() -> str | None:
    """Return the path of a Chromium browser on this machine; None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One tab of a headless browser, driven by the test.

    requests: the URLs that the page asked for.
    messages: what the page wrote to the console, and its errors.

    Args:
        profile: An empty folder.
    """

    def __init__(self, profile: Path) -> None:
        self.requests: list[str] = []
        self.messages: list[str] = []
        self._number, self._received = 0, b""
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        program = [chromium(), *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", WITH_PIPES, "bash", str(to_browser), str(from_browser), *program],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._session: str | None = None
        targets = self.ask("Target.getTargets")["targetInfos"]
        (page,) = [target["targetId"] for target in targets if target["type"] == "page"]
        self._session = self.ask("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and return its result."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._write, json.dumps(command).encode() + b"\0")
        while (message := self._next()).get("id") != self._number:
            self._take(message)
        assert "error" not in message, message["error"]
        return message["result"]

    def open(self, path: Path, *, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        """Open a page, and wait until every shape in view, or near it, is drawn."""
        self.requests.clear()
        self.messages.clear()
        self.size(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Page.navigate", url=path.as_uri())
        self.run("new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))")
        self.settle()

    def size(self, width: int, height: int) -> None:
        """Give the window a size in pixels."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def settle(self) -> None:
        """Wait until every shape in view, or near it, is drawn."""
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        self.run(
            f"var NEAR = {NEAR};"
            """new Promise(done => {
              const shown = () => [...document.querySelectorAll('canvas')].filter(canvas => {
                const box = canvas.getBoundingClientRect();
                return box.bottom > -NEAR && box.top < innerHeight + NEAR;
              });
              const look = () => shown().every(canvas => canvas.dataset.drawn) ? done() : requestAnimationFrame(look);
              look();
            })"""
        )

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Receive messages until a condition holds; the browser sends some messages only after answering commands."""
        end = time.monotonic() + HANG
        while not condition():
            assert time.monotonic() < end, "the browser did not send what the test waits for"
            self.run("new Promise(requestAnimationFrame)")

    def run(self, script: str) -> Any:
        """Evaluate JavaScript, and return its value; if it is a promise, wait for its value."""
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def picture(self, selector: str | None = None) -> NDArray[np.uint8]:
        """Return the (height, width, 3) pixels of the element that `selector` finds, or of the window if it is None."""
        options: dict[str, Any] = {}
        if selector is not None:
            box = self.run(
                f"(() => {{ const b = document.querySelector({selector!r}).getBoundingClientRect();"
                "return {x: b.x + scrollX, y: b.y + scrollY, width: b.width, height: b.height, scale: 1}; })()"
            )
            options = {"clip": box, "captureBeyondViewport": True}
        png = base64.b64decode(self.ask("Page.captureScreenshot", format="png", **options)["data"])
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def drag(self, selector: str, by: tuple[int, int]) -> None:
        """Drag the middle of an element by (x, y) pixels with the mouse."""
        x, y = self.run(
            f"(() => {{ const element = document.querySelector({selector!r}); element.scrollIntoView();"
            "const b = element.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        mouse = {"button": "left", "clickCount": 1}
        self.ask("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, **mouse)
        for part in (0.5, 1):
            place = {"x": x + part * by[0], "y": y + part * by[1]}
            self.ask("Input.dispatchMouseEvent", type="mouseMoved", buttons=1, **place, **mouse)
        self.ask("Input.dispatchMouseEvent", type="mouseReleased", **place, **mouse)
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def press(self, key: str) -> None:
        """Press and release a key."""
        for kind in ("rawKeyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key)
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            assert select.select([self._read], [], [], HANG)[0], "the browser does not answer"
            part = os.read(self._read, 2**20)
            assert part, f"the browser ended with code {self._process.wait()}"
            self._received += part
        message, _, self._received = self._received.partition(b"\0")
        return json.loads(message)

    def _take(self, message: dict[str, Any]) -> None:
        method, content = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(content["request"]["url"])
        elif method == "Runtime.consoleAPICalled":
            self.messages.append(" ".join(str(part.get("value", part)) for part in content["args"]))
        elif method == "Runtime.exceptionThrown":
            self.messages.append(str(content["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.messages.append(content["entry"]["text"])
