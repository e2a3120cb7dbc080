"""A service that writes to receivers of remote write, and what is with these."""

from __future__ import annotations

from tests.functional.clients import half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.receivers import Engine
from tests.functional.service import Service

__all__ = ["LINES", "is_there", "option", "output", "send", "written_to"]

LINES = b"hits.total:3|c\nhits.total:2|c|#code:200\nlevel:5|g\ntime:320|ms\nusers:a|s\n"


def option(url: str, name: str = "it") -> str:
    """Return the option for a receiver that is written to every second."""
    return f"--remote-write={url}:every=1:labels=node=a:name={name}"


def written_to(make_service: ServiceMaker, url: str) -> Service:
    """Start a service that writes to a receiver."""
    return make_service(more=[option(url)]).start()


def send(service: Service, number: int, lines: bytes = LINES) -> None:
    """Send lines, and wait until they are counted."""
    for _ in range(number):
        half_close(service.port("lines"), lines)
    service.settled()


def output(service: Service, metric: str) -> float:
    """Return a metric of the output, all reasons together."""
    return sum(service.metrics().values(f"statscounter_output_{metric}"))


def is_there(service: Service, engine: Engine, hits: float) -> bool:
    """Return whether the engine has what the service has counted."""
    return (
        engine.value('hits_total{code="",node="a"}') == hits
        and engine.value('sum(statscounter_connections_total{node="a"})') == hits / 3
    )
