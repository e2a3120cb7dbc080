"""Totals are kept over a restart, however the service has ended."""

from __future__ import annotations

from tests.functional.clients import Burst, bare, connect, half_close, queue_up, read_end
from tests.functional.conftest import ServiceMaker
from tests.functional.metrics import Metrics
from tests.functional.processes import end_all, held
from tests.functional.service import BARE, DATAGRAMS, LINES, Service
from tests.functional.waiting import until
from tests.ports import free_port

LINE = b"hits:3|c\n"


def send(service: Service, number: int) -> None:
    """Have some bare connections and some with a line served."""
    lines, port = service.port("lines"), service.port("bare")
    assert Burst(lambda: bare(port), number).run() == (number, 0, 0)
    assert Burst(lambda: half_close(lines, LINE), number).run() == (number, 0, 0)


def counts(metrics: Metrics) -> dict[str, object]:
    """Return what must survive."""
    return {
        "bare": (metrics.accepted("bare"), metrics.closed("bare")),
        "lines": (metrics.accepted("lines"), metrics.closed("lines")),
        "received": (
            metrics.total("statscounter_lines_total", listener="lines"),
            metrics.total("statscounter_received_bytes_total", listener="lines"),
            metrics.total("statscounter_samples_total", type="c"),
        ),
        "sum": metrics.total("hits"),
    }


def expected(number: int) -> dict[str, object]:
    """Return the counts after that many connections of both kinds."""
    return {
        "bare": (number, {"counted": number}),
        "lines": (number, {"eof": number}),
        "received": (number, number * len(LINE), number),
        "sum": number * 3,
    }


def test_clean_restart(start_service: ServiceMaker) -> None:
    """After a clean stop the next start goes on with the same totals, at once, and adds to them."""
    service = start_service(workers=2)
    send(service, 100)
    service.stop()
    assert counts(service.start().metrics()) == expected(100)
    send(service, 50)
    assert counts(service.settled()) == expected(150)


def test_restart_with_other_workers(start_service: ServiceMaker, make_service: ServiceMaker) -> None:
    """Totals of workers and listeners that there are no more stay in the sums."""
    service = start_service(workers=3)
    send(service, 100)
    service.stop()
    fewer = make_service(workers=1, count=())
    fewer.share_state(service)
    metrics = fewer.start().metrics()
    assert counts(metrics) == expected(100)
    assert len(metrics.by("statscounter_connections_total", "worker", listener="bare")) == 3


def test_supervisor_killed(start_service: ServiceMaker) -> None:
    """Workers whose supervisor was killed end by themselves, and the next start takes their ledgers over."""
    service = start_service(workers=2)
    send(service, 100)
    service.kill()
    service.wait_ended()
    assert len(service.ledgers) == 2
    assert "2 ledgers of the last run are taken over" in service.start().log
    service.wait_for(100 * 3, "hits")
    send(service, 50)
    assert counts(service.settled()) == expected(150)
    assert len(service.ledgers) == 2


def test_what_waits_when_the_supervisor_is_killed(start_service: ServiceMaker) -> None:
    """Workers whose supervisor was killed take what waits in their queues before they end, and read what was sent."""
    service = start_service()
    lines, port = service.port("lines"), service.port("bare")
    opened = connect(lines)
    opened.sendall(LINE)
    service.wait_for(len(LINE), "statscounter_received_bytes_total", listener="lines")
    with service.workers_held():
        clients = [*queue_up(lines, 30, LINE), *queue_up(port, 30)]
        opened.sendall(LINE)
        service.kill()
    for client in [*clients, opened]:
        read_end(client)
    service.wait_ended()
    metrics = service.start().wait_for(32 * 3, "hits")
    assert metrics.closed("lines") == {"eof": 30, "shutdown": 1}
    assert metrics.closed("bare") == {"counted": 30}


def test_everything_killed_at_once(start_service: ServiceMaker) -> None:
    """When supervisor and workers are killed together, what they had counted and framed is found at the next start."""
    service = start_service(workers=2)
    send(service, 20)
    service.settled()
    # From here on nothing more is committed: all of it is in the ledgers only.
    with held(service.process.pid):
        send(service, 80)
        end_all(service.mark)
    service.wait_ended()
    service.start().wait_for(100 * 3, "hits")
    metrics = service.settled()
    found, wanted = counts(metrics), expected(100)
    # The last connections may have been killed between their end and its being counted.
    del found["lines"], wanted["lines"]
    assert found == wanted
    assert metrics.accepted("lines") == sum(metrics.closed("lines").values()) == 100
    assert metrics.total("statscounter_recovered_lines_total") == 80


def test_killed_again_and_again(start_service: ServiceMaker) -> None:
    """Nothing is counted twice or lost when a start is killed while it takes the last one's ledgers over."""
    service = start_service()
    send(service, 60)
    service.kill()
    service.wait_ended()
    for _ in range(2):
        service.launch()
        until(lambda: "taken over" in service.log, "ledgers are taken over")
        service.kill()
        service.wait_ended()
    service.start().wait_for(60 * 3, "hits")
    assert counts(service.settled()) == expected(60)


def test_damaged_ledger_is_set_aside(start_service: ServiceMaker) -> None:
    """A ledger file that cannot be read is kept under another name and told of, and the service starts."""
    service = start_service()
    service.stop()
    (service.state / "ledgers" / "00ff.ledger").write_bytes(b"no ledger at all" * 100)
    service.start()
    assert "00ff.ledger is not a ledger; it is kept as" in service.log
    assert [name for name in service.ledgers if name.startswith("00ff")] == ["00ff.damaged"]


def test_start_right_after_a_kill(start_service: ServiceMaker) -> None:
    """Who restarts a killed service at once, on the same ports, gets it back soon, with all counts."""
    # From the beginning: one that the kernel has chosen it gives to others, as soon as it is free for a moment.
    lines, datagrams, bares = (endpoint.replace(":0:", f":{free_port()}:") for endpoint in (LINES, DATAGRAMS, BARE))
    service = start_service(workers=2, listen=[lines, datagrams], count=[bares])
    send(service, 50)
    service.kill()

    def started() -> bool:
        service.launch()
        until(lambda: service.process.poll() is not None or service.has_greeted(), "it has started or ended")
        return service.process.poll() is None

    until(started, "a start succeeds")
    service.await_ready().wait_for(50 * 3, "hits")
    send(service, 50)
    assert counts(service.settled()) == expected(100)
