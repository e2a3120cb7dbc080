"""A real Prometheus server that scrapes what a test tells it to, and a page that only knows the text format."""

from __future__ import annotations

import json
import shutil
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.functional.programs import Program
from tests.functional.serving import Serving
from tests.functional.waiting import PATIENCE, until
from tests.ports import free_port

__all__ = ["PROMETHEUS", "PROMTOOL", "Prometheus", "TextPage"]

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")


class TextPage(Serving):
    """A page that passes another one on in the text format, for a scraper that would choose OpenMetrics."""

    def __init__(self, url: str) -> None:
        class Passing(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                request = urllib.request.Request(url, headers={"Accept": "text/plain"})
                with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                    body = answer.read()
                    self.send_response(200)
                    self.send_header("Content-Type", answer.headers["Content-Type"])
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Keep quiet."""

        super().__init__(Passing)


class Prometheus:
    """A server that scrapes each of some jobs, given with their ports, every five seconds, which a scrape may take."""

    def __init__(self, folder: Path, jobs: dict[str, int]) -> None:
        folder.mkdir(exist_ok=True)
        lines = ["global: {scrape_interval: 5s}", "scrape_configs:"]
        lines += [
            f"- {{job_name: {job}, static_configs: [{{targets: ['127.0.0.1:{at}']}}]}}" for job, at in jobs.items()
        ]
        (folder / "prometheus.yml").write_text("\n".join(lines) + "\n")
        self._address = f"127.0.0.1:{free_port()}"
        self._folder = folder
        self._program = Program(folder / "log")

    def __enter__(self) -> Self:
        """Start it, and wait until it answers."""
        assert PROMETHEUS
        self._program.start(
            [
                PROMETHEUS,
                f"--config.file={self._folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address={self._address}",
            ]
        )
        until(self._answers, "Prometheus answers")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._program.end()

    def ask(self, path: str, **query: str) -> Any:
        """Ask its API, and give the data of the answer."""
        url = f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            found = json.load(answer)
        assert found["status"] == "success", found
        return found["data"]

    def values(self, query: str) -> dict[frozenset[tuple[str, str]], float]:
        """Return the samples of a query by their labels, without the one that names the target's address."""
        return {
            frozenset((name, value) for name, value in sample["metric"].items() if name != "instance"): float(
                sample["value"][1]
            )
            for sample in self.ask("query", query=query)["result"]
        }

    def targets(self) -> dict[str, tuple[str, str]]:
        """Return each job's health and last error."""
        targets = self.ask("targets")["activeTargets"]
        return {target["labels"]["job"]: (target["health"], target["lastError"]) for target in targets}

    def _answers(self) -> bool:
        self._program.check()
        try:
            return bool(self.targets())
        except OSError:
            return False
