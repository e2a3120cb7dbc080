"""Debian's Chromium without a screen, driven by its own driver: the W3C's WebDriver protocol, JSON over HTTP."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError

import pytest

from tests.functional.processes import MARK, end_all, new_mark
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
        self._mark = new_mark()
        self._port = free_port()
        self._session = ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it."""
        with (self._folder / "chromedriver.log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(_DRIVER), f"--port={self._port}"],
                env={**os.environ, MARK: self._mark, "HOME": str(self._folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._is_ready, "the driver answers")
        wishes = {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": [*_ARGUMENTS, f"--user-data-dir={self._folder / 'profile'}"]},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wishes}})
        self._session = f"/session/{made['sessionId']}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        end_all(self._mark)
        if self._process is not None:
            self._process.wait(PATIENCE)

    def open(self, url: str) -> None:
        """Go to a page, and wait until it is loaded."""
        self._ask("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: object) -> Any:
        """Run the body of a function in the page, and return what it returns."""
        return self._ask("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def run_async(self, script: str) -> Any:
        """Run the body of a function that calls its last argument with the result, and return that."""
        return self._ask("POST", f"{self._session}/execute/async", {"script": script, "args": []})

    def look(self, width: int, height: int, scheme: str = "light") -> None:
        """Choose the size of the window, and a colour scheme."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._command("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._command("Emulation.setEmulatedMedia", {"features": features})

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
