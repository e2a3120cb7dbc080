"""Remote write when everything around it fails: engines end up with what the store has, and refusals are explained."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cramjam
import pytest

from tests.functional.clients import half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.load import Load
from tests.functional.processes import held
from tests.functional.receivers import ENGINES, Engine, Proxy, need
from tests.functional.remote_writing import LINES, is_there, option, output, send, written_to
from tests.functional.service import Service, script
from tests.functional.waiting import until
from tests.functional.wall_clock import WallClock
from tests.transcripts import finished

LONG = "x" * 4000


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[list[Engine]]:
    """Yield both engines."""
    with ExitStack() as stack:
        for name in ENGINES:
            need(name)
        yield [stack.enter_context(Engine(tmp_path / name, name)) for name in ENGINES]


def assert_nothing_refused(service: Service, *engines: Engine) -> None:
    """Check that both sides say that nothing was refused, and the service that it has given up nothing."""
    assert output(service, "skipped_total") == output(service, "refused_total") == 0
    assert [engine.refused() for engine in engines] == [0] * len(engines)


def store(service: Service) -> dict[str, float]:
    """Return the counters, and the connections, that the store of a service that has ended has."""
    command = [script("statscounter"), "store", "export", f"--state-dir={service.state}"]
    records: list[dict[str, Any]] = list(map(json.loads, finished(command, service.environ).stdout.splitlines()))
    found = {f"{one['series']}{one['tags'].get('code', '')}": one["value"] for one in records if one.get("type") == "c"}
    return {**found, "accepted": sum(one["value"] for one in records if one.get("total") == "accepted")}


def with_it(engine: Engine) -> dict[str, float]:
    """Return the same as an engine has it."""
    values = engine.values('last_over_time(hits_total{node="a"}[1h])')
    found = {f"hits.total{dict(labels).get('code', '')}": value for labels, value in values.items()}
    accepted = engine.value('sum(last_over_time(statscounter_connections_total{node="a"}[1h]))')
    return {**found, "accepted": accepted}


def test_slow(make_service: ServiceMaker, engine: Engine) -> None:
    """While a receiver takes its time, nothing else is sent to it; then it gets all that has waited, once."""
    slow: list[bytes] = []

    def fault(number: int, body: bytes) -> str:
        if number != 4:
            return ""
        slow.append(body)
        return "slow"

    with Proxy(engine.url, fault) as proxy:
        service = written_to(make_service, proxy.url)
        until(lambda: slow, "a request is not answered")
        send(service, 2)
        until(lambda: output(service, "queued") >= 4, "others wait")
        assert len(proxy.bodies) == 4
        proxy.go_on.set()
        until(lambda: is_there(service, engine, 6), "all is there")
        bodies = [body for body, _ in proxy.passed()]
        assert len(set(bodies)) == len(bodies)
        assert_nothing_refused(service, engine)
        assert output(service, "failed_total") == 0
        service.stop()


@pytest.mark.proof
def test_too_slow(make_service: ServiceMaker, engine: Engine) -> None:
    """A request without an answer within 30 s is sent again byte for byte, and the engine takes it."""
    with Proxy(engine.url, lambda number, body: "slow" if number == 4 else "") as proxy:
        service = written_to(make_service, proxy.url)
        until(lambda: len(proxy.bodies) >= 5, "it is sent again")
        assert proxy.bodies[3] == proxy.bodies[4]
        send(service, 1)
        until(lambda: is_there(service, engine, 3), "all is there")
        assert_nothing_refused(service, engine)
        proxy.go_on.set()
        service.stop()


def test_killed_engine(make_service: ServiceMaker, engine: Engine) -> None:
    """An engine that is killed has all totals when it is back, and they have never fallen."""
    service = written_to(make_service, engine.url)
    send(service, 2)
    until(lambda: is_there(service, engine, 6), "the first is there")
    engine.kill()
    send(service, 1)
    until(lambda: output(service, "queued") >= 2, "something waits")
    engine.start()
    until(lambda: is_there(service, engine, 9), "all is there")
    assert engine.value('resets(hits_total{code="",node="a"}[5m])') == 0
    assert_nothing_refused(service, engine)


def test_old_store(make_service: ServiceMaker, engine: Engine) -> None:
    """Totals from before the output was there do not look as if they had just come; what comes then, does."""
    service = make_service().start()
    send(service, 4)
    service.stop()
    service.command.append(option(engine.url))
    service.start()
    until(lambda: engine.value('hits_total{code="",node="a"}') == 12, "the totals are there")
    until(lambda: output(service, "sent_total") >= 3, "a receiver has taken several slots")
    send(service, 1, b"fresh:7|c\n")
    until(lambda: engine.value('fresh{node="a"}') == 7, "what is new is there")
    assert engine.value('min_over_time(hits_total{code="",node="a"}[5m])') == 12
    assert engine.value('min_over_time(fresh{node="a"}[5m])') == 0
    known = "statscounter_connections_total"
    assert engine.value(f'min_over_time({known}{{node="a",listener="lines"}}[5m])') == 4
    assert_nothing_refused(service, engine)


def test_long_label(make_service: ServiceMaker, engine: Engine) -> None:
    """The longest label that a line can have is with an engine as it is; one of 70 KB is a bad line, and counted."""
    longest = "x" * 8000
    service = written_to(make_service, engine.url)
    send(service, 1, LINES + b"long:1|c|#path:%s\n" % longest.encode())
    send(service, 1, LINES + b"long:1|c|#path:%s\n" % (b"x" * 70_000))
    until(lambda: is_there(service, engine, 6), "all others are there")
    until(lambda: engine.value(f'long{{path="{longest}"}}') == 1, "the longest is there")
    assert len(engine.values("long")) == 1
    assert service.metrics().by("statscounter_bad_lines_total", "reason") == {"line_too_long": 1}
    assert_nothing_refused(service, engine)


def test_refused_label(make_service: ServiceMaker, engine: Engine) -> None:
    """A series that a receiver refuses is found, left out and counted; all others are there."""

    def fault(number: int, body: bytes) -> str:
        return "400" if LONG.encode() in bytes(cramjam.snappy.decompress_raw(body)) else ""

    with Proxy(engine.url, fault) as proxy:
        service = written_to(make_service, proxy.url)
        send(service, 1)
        until(lambda: is_there(service, engine, 3), "the first is there")
        send(service, 1, b"bad:1|c|#path:%s\n" % LONG.encode() + LINES.replace(b":3|", b":1|"))
        send(service, 2, LINES)
        until(lambda: engine.value('hits_total{code="",node="a"}') == 10, "all others are there")
        until(lambda: output(service, "refused_total") >= 1, "it is counted")
        # Its first sample, of 0, was a request of its own.
        assert service.metrics().by("statscounter_output_skipped_total", "reason") == {"batch": 1}
        assert "path=xxx" in service.log
        assert not service.status()["findings"]
        assert engine.refused() == 0
        service.stop()


def test_too_old(make_service: ServiceMaker, engine: Engine, tmp_path: Path) -> None:
    """What is too old as a whole is given up, explained and counted, and the totals are right with what follows."""
    folder = tmp_path / "clock"
    folder.mkdir()
    wall = WallClock(folder)
    wall.step(-7200)
    engine.end()
    service = make_service(more=[option(engine.url)], environ=wall.environ).start()
    send(service, 1)
    until(lambda: output(service, "queued") >= 3, "something waits")
    wall.step(7200)
    # A Prometheus without samples takes those of any time: it must have one before the service finds it.
    with held(service.process.pid):
        engine.start()
        engine.receive("foreign", 1.0, wall.now())
    send(service, 1)
    until(lambda: is_there(service, engine, 6), "the totals are right")
    until(lambda: output(service, "queued") <= 1, "nothing waits")
    metrics = service.metrics()
    skipped = metrics.by("statscounter_output_skipped_total", "reason")
    assert output(service, "refused_total") == output(service, "repeated_total") == 0
    if engine.name == "prometheus":
        assert set(skipped) == {"batch"}
        assert engine.refused() > 0
        assert any(finding["id"] == "remote_write.too_old" for finding in service.status()["findings"])
    else:
        assert skipped == {}


def test_reloads(make_service: ServiceMaker, engine: Engine) -> None:
    """Reloads under load lose nothing on the way to an engine, and nothing is refused."""
    service = written_to(make_service, engine.url)
    port = service.port("lines")
    with Load(lambda: half_close(port, LINES)) as load:
        for number in range(1, 4):
            os.kill(service.process.pid, signal.SIGHUP)
            until(lambda: service.log.count("the reload is complete") >= number, "it is reloaded")  # noqa: B023
            until(service.is_ready, "the service is ready")
    assert not load.sent.failed
    service.settled()
    until(lambda: is_there(service, engine, 3 * load.completed), "all is there")
    assert engine.value('resets(hits_total{code="",node="a"}[5m])') == 0
    assert_nothing_refused(service, engine)


def test_in_the_end(make_service: ServiceMaker, engines: list[Engine]) -> None:
    """Whatever was killed meanwhile, and whatever became of answers, both engines have what the store has."""
    with ExitStack() as stack:
        proxies = [
            stack.enter_context(Proxy(engine.url, lambda number, body: "drop" if number % 5 == 4 else ""))
            for engine in engines
        ]
        options = [option(proxy.url, engine.name) for proxy, engine in zip(proxies, engines, strict=True)]
        service = make_service(more=options).start()
        port = service.port("lines")
        with Load(lambda: half_close(port, LINES), 1):
            for engine in engines:
                until(lambda: with_it(engine).get("hits.total", 0) > 0, "something is there")  # noqa: B023
                engine.kill()
                until(lambda: output(service, "queued") >= 3, "something waits")
                engine.start()
            service.kill()
        service.start()
        send(service, 2)
        # A connection counts at once, its lines with the next commit, which may come in the slot after.
        metrics = service.metrics()
        wanted = {
            "hits.total": metrics.shown("hits_total"),
            "hits.total200": metrics.shown('hits_total{code="200"}'),
            "accepted": metrics.total("statscounter_connections_total"),
        }
        until(lambda: [with_it(engine) for engine in engines] == [wanted] * 2, "all is there")
        assert_nothing_refused(service, *engines)
        service.stop()
    found = store(service)
    assert found["hits.total"] > 6
    assert found == wanted
