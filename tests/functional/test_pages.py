"""The pages of a running service, as Prometheus, an orchestrator and a person ask for them."""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.functional.clients import half_close
from tests.functional.service import Service, options
from tests.functional.waiting import PATIENCE

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a running service that has counted a little."""
    folder = tmp_path_factory.mktemp("service")
    service = Service(folder, options(folder / "state", workers=2))
    try:
        service.start()
        half_close(service.port("lines"), b"hits:2|c|#page:start\nlevel:7|g")
        service.settled()
        yield service
    finally:
        service.end()


@pytest.mark.parametrize("path", ["/healthz", "/-/healthy", "/readyz", "/-/ready"])
def test_health(service: Service, path: str) -> None:
    """A service that works answers ok to requests for its health or readiness, under both names."""
    page = service.page(path)
    assert (page.status, page.text) == (200, "ok")
    assert page.headers["content-type"].startswith("text/plain")


def test_text_format(service: Service) -> None:
    """Without a wish the metrics come in Prometheus's text format, with all that is known from the start at 0."""
    page = service.page("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=")
    metrics = service.metrics()
    reasons = {"eof", "counted", "idle", "evicted", "first_byte", "reset", "error", "shutdown", "killed"}
    reasons |= {"max_age", "bad_proxy_header", "proxy_check"}
    for reason in reasons:
        wanted = 1 if reason == "eof" else 0
        assert metrics.total("statscounter_connections_closed_total", listener="lines", reason=reason) == wanted
    for slot in ("0", "1"):
        assert metrics.total("statscounter_connections_total", listener="bare", worker=slot) == 0
    assert metrics.total("statscounter_workers", state="ready") == 2
    assert '# TYPE hits counter\nhits{page="start"} 2.0\n' in metrics.text


def test_openmetrics_format(service: Service) -> None:
    """Who asks for OpenMetrics gets what a strict parser takes, with the series under the same names."""
    page = service.page("/metrics", Accept=OPENMETRICS)
    assert page.headers["content-type"].startswith("application/openmetrics-text")
    text = page.body.decode()
    assert text.endswith("# EOF\n")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["statscounter_connections"].type == "counter"
    (hits,) = families["hits"].samples
    assert (hits.name, hits.labels, hits.value) == ("hits", {"page": "start"}, 2)
    (level,) = families["level"].samples
    assert (families["level"].type, level.value) == ("gauge", 7)


def test_compressed(service: Service) -> None:
    """Who takes gzip gets it, and it unpacks to the metrics."""
    page = service.page("/metrics", Accept_Encoding="gzip")
    assert page.headers["content-encoding"] == "gzip"
    assert b"statscounter_connections_total{" in gzip.decompress(page.body)


def test_status(service: Service) -> None:
    """The status tells programs where the service listens, really, and how its workers are."""
    status = json.loads(service.page("/api/v1/status").body)
    assert status["version"] == 1
    assert status["ready"] is True
    listeners = {listener["label"]: listener for listener in status["listeners"]}
    assert {label: found["port"] for label, found in listeners.items()} == {
        label: service.port(label) for label in ("lines", "datagrams", "bare")
    }
    assert (listeners["lines"]["connections"], listeners["lines"]["open"]) == (1, 0)
    assert [(worker["slot"], worker["state"]) for worker in status["workers"]] == [(0, "ready"), (1, "ready")]
    assert status["state_dir"] == str(service.state)


def test_index(service: Service) -> None:
    """A person who opens the port in a browser finds the pages that there are, and all of them answer."""
    page = service.page("/")
    assert page.headers["content-type"].startswith("text/html")
    paths = [part.partition('"')[0] for part in page.text.split('href="')[1:]]
    assert "/metrics" in paths
    assert [service.page(path).status for path in paths] == [200] * len(paths)


def test_wrong_requests(service: Service) -> None:
    """What is not there is 404, what cannot be done 405, and neither leaves a trace in the log."""
    assert service.page("/nothing").status == 404
    assert service.page("/metrics/nothing").status == 404
    connection = http.client.HTTPConnection("127.0.0.1", service.http_port, timeout=PATIENCE)
    try:
        connection.request("DELETE", "/metrics")
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        connection.request("HEAD", "/healthz")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["content-length"], answer.read()) == (200, "3", b"")
    finally:
        connection.close()
    assert "nothing" not in service.log


def test_nobody_imports_tls(service: Service) -> None:
    """Where no listener has TLS no process of the service has what it needs in its memory."""
    for pid in (service.process.pid, *service.worker_pids().values()):
        mapped = Path(f"/proc/{pid}/maps").read_text()
        assert "python3" in mapped
        assert "/cryptography/" not in mapped


def test_no_console(service: Service) -> None:
    """Without a console there is none."""
    assert service.status()["admin"] == []
    assert "  console  " not in service.log
