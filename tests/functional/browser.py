"""Debian's Chromium without a screen, driven by its own driver: the W3C's WebDriver protocol, JSON over HTTP."""

from __future__ import annotations

import base64
import json
import shutil
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError

import pytest

from tests.functional.programs import Program
from tests.functional.waiting import PATIENCE, until
from tests.ports import free_port

__all__ = ["Browser"]

_DRIVER = shutil.which("chromedriver")
_ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]


class Browser:
    """One window. Skips the test where there is no Chromium."""

    def __init__(self, folder: Path) -> None:
        if _DRIVER is None or shutil.which("chromium") is None:
            pytest.skip("chromium is not installed: apt-get install chromium chromium-driver")
        self._folder = folder
        self._program = Program(folder / "chromedriver.log")
        self._port = free_port()
        self._session = ""

    def __enter__(self) -> Self:
        """Start it."""
        self._program.start([str(_DRIVER), f"--port={self._port}"], HOME=str(self._folder))
        until(self._is_ready, "the driver answers")
        wishes = {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": [*_ARGUMENTS, f"--user-data-dir={self._folder / 'profile'}"]},
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"script": round(1000 * PATIENCE)},
        }
        made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wishes}})
        self._session = f"/session/{made['sessionId']}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._program.end()

    def open(self, url: str) -> None:
        """Go to a page, and wait until it is loaded."""
        self._ask("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: object) -> Any:
        """Run the body of a function in the page, and return what it returns."""
        return self._ask("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def run_async(self, script: str) -> Any:
        """Run the body of a function that calls its last argument with the result, and return that."""
        return self._ask("POST", f"{self._session}/execute/async", {"script": script, "args": []})

    def look(self, width: int, height: int, scheme: str = "light", motion: str = "no-preference") -> None:
        """Choose the size of the window, a colour scheme, and how much motion is liked."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._command("Emulation.setDeviceMetricsOverride", size)
        likes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
        features = [{"name": name, "value": value} for name, value in likes.items()]
        self._command("Emulation.setEmulatedMedia", {"features": features})

    def minimize(self) -> None:
        """Put the window away, so that the page is hidden."""
        self._ask("POST", f"{self._session}/window/minimize", {})

    def restore(self) -> None:
        """Bring the window back."""
        self._ask("POST", f"{self._session}/window/rect", {"width": 1280, "height": 1000})

    def picture(self) -> bytes:
        """Return what is seen, as PNG."""
        return base64.b64decode(self._ask("GET", f"{self._session}/screenshot"))

    def messages(self) -> list[str]:
        """Return what the page has written to its console since the last time, reports of its policy too."""
        return [entry["message"] for entry in self._ask("POST", f"{self._session}/se/log", {"type": "browser"})]

    def _command(self, name: str, parameters: dict[str, Any]) -> None:
        self._ask("POST", f"{self._session}/goog/cdp/execute", {"cmd": name, "params": parameters})

    def _is_ready(self) -> bool:
        try:
            return bool(self._ask("GET", "/status")["ready"])
        except OSError:
            return False

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()}") from error
