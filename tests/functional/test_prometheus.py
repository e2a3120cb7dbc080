"""Mapping files, and what a real Prometheus and its promtool make of the page."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.clients import half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.prometheus import PROMETHEUS, PROMTOOL, Prometheus, TextPage
from tests.functional.service import Service, options
from tests.functional.waiting import until

MAPPING = """
mappings:
- match: api.*.*.time
  name: api_seconds
  help: 'How long the "api" took'
  observer_type: histogram
  histogram_options: {buckets: [0.1, 1]}
  labels: {method: $1, path: $2}
- match: api.*.hits
  name: api_hits_total
  help: Requests
  labels: {method: $1}
- match: noise.*
  action: drop
- match: old.*
  name: old
  timer_type: histogram
"""

TRAFFIC = b"""api.get.users.time:50|ms
api.get.users.time:500|ms|@0.5
api.get.users.time:5000|ms
api.get.hits:3|c
api.post.hits:4|c|#code:200
noise.a:1|c
plain.page:7|c
plain.gauge:-2.5|g
plain.time:100:100:100|ms|#
plain.size:10|h
plain "quoted"\\name\xc3\xa9:1|c|#le:x,tag:a"b\\c
"""

NO_PROMETHEUS = "prometheus is not installed (Debian package prometheus)"


@pytest.fixture(scope="module")
def mapping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the mapping's file."""
    path: Path = tmp_path_factory.mktemp("mapping") / "mapping.yml"
    path.write_text(MAPPING)
    return path


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory, mapping: Path) -> Iterator[Service]:
    """Yield a service with the mapping, to which the traffic was sent: the tests only look at it."""
    folder = tmp_path_factory.mktemp("service")
    service = Service(folder, options(folder / "state", more=[f"--mapping={mapping}"]))
    try:
        service.start()
        send_traffic(service)
        yield service
    finally:
        service.end()


def send_traffic(service: Service) -> None:
    """Send the traffic, and wait until all of it is counted."""
    half_close(service.port("lines"), TRAFFIC)
    service.settled()


def test_mapped_series(mapped: Service) -> None:
    """Series have the names and labels of the mapping, histograms their buckets, and drops are counted."""
    metrics = mapped.metrics()
    assert metrics.total("api_hits", method="get") == 3
    assert metrics.total("api_hits", method="post", code="200") == 4
    assert metrics.by("api_seconds_bucket", "le", method="get", path="users") == {"0.1": 1, "1.0": 3, "+Inf": 4}
    assert metrics.total("api_seconds_sum") == pytest.approx(0.05 + 2 * 0.5 + 5)
    assert metrics.total("statscounter_mapping_rules") == 4
    assert metrics.by("statscounter_mapping_series_total", "outcome") == {"mapped": 3, "dropped": 1, "unmapped": 5}
    assert "noise" not in metrics.text


def test_totals_outlast_a_restart(start_service: ServiceMaker, mapping: Path) -> None:
    """After a restart histograms and mapped counters go on from where they were; quantiles start over."""
    mapped = start_service(more=[f"--mapping={mapping}"])
    send_traffic(mapped)
    assert mapped.metrics().by("plain_time", "quantile").keys() == {"0.5", "0.9", "0.99"}
    mapped.stop()
    mapped.start()
    metrics = mapped.metrics()
    assert metrics.by("api_seconds_bucket", "le") == {"0.1": 1, "1.0": 3, "+Inf": 4}
    assert metrics.total("plain_time_count") == 3
    assert not metrics.by("plain_time", "quantile")
    send_traffic(mapped)
    metrics = mapped.metrics()
    assert metrics.by("api_seconds_bucket", "le") == {"0.1": 2, "1.0": 6, "+Inf": 8}
    assert metrics.total("api_hits", method="get") == 6


def test_warnings_are_logged(mapped: Service, mapping: Path) -> None:
    """What a mapping file says with old names is read, and the log tells the line."""
    number = MAPPING.splitlines().index("  timer_type: histogram") + 1
    assert f"{mapping}:{number}: timer_type is an old name; today it is observer_type" in mapped.log


def test_counter_suffix(start_service: ServiceMaker) -> None:
    """With the option counters end in _total in both formats."""
    service = start_service(more=["--counter-suffix=_total"])
    half_close(service.port("lines"), b"a.b:3|c\n")
    service.settled()
    assert "# TYPE a_b_total counter\na_b_total 3.0" in service.page("/metrics").text
    openmetrics = service.page("/metrics", accept="application/openmetrics-text").text
    assert "# TYPE a_b counter\na_b_total 3.0\n" in openmetrics


@pytest.mark.skipif(PROMTOOL is None, reason=NO_PROMETHEUS)
def test_promtool_reads_the_page(mapped: Service) -> None:
    """Promtool finds no error in the page; what it calls bad style are names that clients chose."""
    page = mapped.page("/metrics").body
    assert PROMTOOL
    run = subprocess.run([PROMTOOL, "check", "metrics"], input=page, capture_output=True, check=False)
    # 3: the page can be read, but it does not like the style.
    assert run.returncode in (0, 3), run.stderr
    ours = [line for line in run.stderr.decode().splitlines() if line.startswith("statscounter_")]
    assert not ours, ours


@pytest.mark.skipif(PROMETHEUS is None, reason=NO_PROMETHEUS)
def test_prometheus_scrapes_both_formats(mapped: Service, tmp_path: Path) -> None:
    """A real Prometheus has the same series under the same names from either format, with the right numbers."""
    url = f"http://127.0.0.1:{mapped.http_port}/metrics"
    jobs = {"openmetrics": mapped.http_port}
    with TextPage(url) as text, Prometheus(tmp_path / "prometheus", {**jobs, "text": text.port}) as server:
        until(lambda: len(server.values("api_seconds_count")) == 2, "both targets are scraped")
        up = {"openmetrics": ("up", ""), "text": ("up", "")}
        until(lambda: server.targets() == up, "no scrape has failed")
        seen = {}
        for job in ("openmetrics", "text"):
            every = server.values(f'{{job="{job}", __name__!~"statscounter_.*|process_.*|scrape_.*|up"}}')
            seen[job] = {labels - {("job", job)}: value for labels, value in every.items()}
        assert seen["openmetrics"] == seen["text"]
        numbers = {
            ",".join(f"{name}={value}" for name, value in sorted(labels)): value
            for labels, value in seen["text"].items()
        }
        assert numbers["__name__=api_hits_total,method=get"] == 3
        assert numbers["__name__=api_seconds_bucket,le=1.0,method=get,path=users"] == 3
        assert numbers["__name__=plain_page"] == 7
        assert numbers["__name__=plain_gauge"] == -2.5
        assert numbers["__name__=plain_time,quantile=0.9"] == pytest.approx(0.1, rel=0.01)
        assert numbers['__name__=plain__quoted__name_,exported_le=x,tag=a"b\\c'] == 1
        (median,) = server.values('histogram_quantile(0.5, api_seconds_bucket{job="text"})').values()
        assert 0.1 < median <= 1
        types = {name: entries[0]["type"] for name, entries in server.ask("metadata").items()}
        assert (types["api_seconds"], types["plain_time"], types["plain_gauge"]) == ("histogram", "summary", "gauge")
        assert types["api_hits_total"] == "counter"
        helps = server.ask("metadata", metric="api_seconds")["api_seconds"]
        assert {each["help"] for each in helps} == {'How long the "api" took'}
