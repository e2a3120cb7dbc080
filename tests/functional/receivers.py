"""Receivers of remote write: real ones, and a proxy in front of one that a test has misbehave."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from statsd_tcp.remote_write.encoding import Moment, compressed, label_fields
from tests.functional.metrics import Metrics
from tests.functional.processes import DYING_WITH_US, MARK, end_all, new_mark
from tests.functional.programs import Program
from tests.functional.serving import Serving
from tests.functional.waiting import PATIENCE, until
from tests.ports import free_port

__all__ = ["ENGINES", "VMALERT", "Engine", "Proxy", "need", "vmalert"]

ENGINES = {"prometheus": shutil.which("prometheus"), "victoria-metrics": shutil.which("victoria-metrics")}

VMALERT = shutil.which("vmalert")

_REFUSED = (
    "prometheus_tsdb_out_of_bound_samples_total",
    "prometheus_tsdb_out_of_order_samples_total",
    "prometheus_tsdb_too_old_samples_total",
    "prometheus_target_scrapes_sample_duplicate_timestamp_total",
    "vm_rows_ignored_total",
)


def need(name: str) -> None:
    """Skip the test where an engine is not installed."""
    if not ENGINES[name]:
        pytest.skip(f"{name} is not installed")


class Engine:
    """A Prometheus or a VictoriaMetrics that scrapes nothing, with a folder and a port that stay its own."""

    def __init__(self, folder: Path, name: str, host: str = "127.0.0.1") -> None:
        folder.mkdir(exist_ok=True)
        self.name = name
        self._folder = folder
        self.port = free_port()
        self._address = f"{host}:{self.port}"
        self._program = Program(folder / "log")
        self.configuration = "global: {scrape_interval: 1h}\n"
        """Of a Prometheus."""

    @property
    def url(self) -> str:
        """Return where it receives."""
        return f"http://{self._address}/api/v1/write"

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        (self._folder / "prometheus.yml").write_text(self.configuration)
        arguments = {
            "prometheus": [
                f"--config.file={self._folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address={self._address}",
                "--web.enable-remote-write-receiver",
            ],
            "victoria-metrics": [
                f"-storageDataPath={self._folder / 'data'}",
                f"-httpListenAddr={self._address}",
                "-search.latencyOffset=0s",
                "-retentionPeriod=1y",
            ],
        }[self.name]
        self._program.start([*DYING_WITH_US, str(ENGINES[self.name]), *arguments])
        until(self._answers, f"{self.name} answers")
        return self

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.end()

    def end(self) -> None:
        """End it; what it has stays in its folder."""
        self._program.terminate()
        self._program.end()

    def kill(self) -> None:
        """Kill it; it keeps what it has written to its folder."""
        self._program.end()

    def refused(self) -> float:
        """Return how many samples it says that it has refused since its start."""
        with urllib.request.urlopen(f"http://{self._address}/metrics", timeout=PATIENCE) as answer:
            metrics = Metrics(answer.read().decode())
        return sum(sum(metrics.values(name)) for name in _REFUSED)

    def receive(self, name: str, value: float, time: float) -> None:
        """Have it receive a sample of another sender, of a time in seconds since 1970."""
        body = compressed([Moment(round(time * 1000)).series(label_fields([("__name__", name)]), value)])
        assert _post(self.url, body, {"Content-Encoding": "snappy"}) in {200, 204}

    def values(self, query: str, at: float | None = None) -> dict[frozenset[tuple[str, str]], float]:
        """Return the samples of a query by their labels, of now or of a time in seconds since 1970."""
        fields = {"query": query} if at is None else {"query": query, "time": f"{at:.3f}"}
        url = f"http://{self._address}/api/v1/query?{urllib.parse.urlencode(fields)}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            found: Any = json.load(answer)
        return {frozenset(each["metric"].items()): float(each["value"][1]) for each in found["data"]["result"]}

    def ranges(
        self, query: str, start: float, end: float, step: int
    ) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Return the series of a query over a time: the labels, and the points."""
        words = urllib.parse.urlencode({"query": query, "start": start, "end": end, "step": step})
        with urllib.request.urlopen(f"http://{self._address}/api/v1/query_range?{words}", timeout=PATIENCE) as answer:
            found: Any = json.load(answer)
        return [
            (each["metric"], [(at, float(value)) for at, value in each["values"]]) for each in found["data"]["result"]
        ]

    def value(self, query: str, at: float | None = None) -> float:
        """Return the only sample of a query; NaN if there is none."""
        return next(iter(self.values(query, at).values()), float("nan"))

    def _answers(self) -> bool:
        self._program.check()
        try:
            self.values("vector(1)")
        except OSError:
            return False
        return True


@contextmanager
def vmalert(engine: Engine, rules: Path) -> Iterator[None]:
    """Have the rules of a file evaluated for a VictoriaMetrics, which does not do so itself."""
    mark, url = new_mark(), engine.url.removesuffix("/api/v1/write")
    own = [f"-httpListenAddr=127.0.0.1:{free_port()}", "-remoteWrite.flushInterval=200ms"]
    command = [str(VMALERT), f"-rule={rules}", f"-datasource.url={url}", f"-remoteWrite.url={url}", *own]
    with rules.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            [*DYING_WITH_US, *command],
            env={**os.environ, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)
        end_all(mark)


class Proxy(Serving):
    """Passes requests on to an engine. ``fault`` is asked for each one, by its number and its body.

    It returns "" for what is to be passed on, ``drop`` for what is to be passed on without a word of the answer,
    ``slow`` for what is to be passed on, and answered when ``go_on`` is set, ``nonsense`` for what is to be answered
    with something that is not HTTP, or a status to be answered.
    """

    def __init__(self, url: str, fault: Callable[[int, bytes], str]) -> None:
        self._lock = threading.Lock()
        self.go_on = threading.Event()
        self.bodies: list[bytes] = []
        self.statuses: list[int] = []
        proxy = self

        class Passing(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with proxy._lock:
                    proxy.bodies.append(body)
                    what = fault(len(proxy.bodies), body)
                    status = _post(url, body, dict(self.headers)) if what in {"", "drop", "slow"} else 0
                    proxy.statuses.append(status)
                if what == "slow":
                    proxy.go_on.wait(PATIENCE)
                if what == "nonsense":
                    self.wfile.write(b"\0\1\2 what do you want?\r\n\r\n")
                if what in {"drop", "nonsense"}:
                    self.close_connection = True
                    return
                self.send_response(status or int(what))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Keep quiet."""

        super().__init__(Passing)

    def passed(self) -> list[tuple[bytes, int]]:
        """Return all requests that are through, each with the status that the engine gave it, 0 if it was not asked."""
        with self._lock:
            return list(zip(self.bodies, self.statuses, strict=True))

    @property
    def url(self) -> str:
        """Return where it receives."""
        return f"http://127.0.0.1:{self.port}/api/v1/write"


def _post(url: str, body: bytes, headers: dict[str, str]) -> int:
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
