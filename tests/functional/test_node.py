"""Nodes: their names and their stores, over restarts and reloads."""

from __future__ import annotations

import signal

from tests.functional.conftest import ServiceMaker
from tests.functional.service import Service
from tests.functional.waiting import until

RECEIVER = "--remote-write=http://127.0.0.1:9/"


def identity(service: Service) -> tuple[str, str, str]:
    """Return the name of the node, the UUID of its store, and the word for its start."""
    status = service.status()
    metrics = service.metrics()
    assert metrics.total("statscounter_store_info", store=status["store"], start=status["start"]) == 1
    return status["node"], status["store"], status["start"]


def test_identity(make_service: ServiceMaker) -> None:
    """A store keeps its UUID; a start has a word of its own, which a reload keeps."""
    service = make_service(more=["--node=a"]).start()
    node, store, start = identity(service)
    assert node == "a"
    service.process.send_signal(signal.SIGHUP)
    until(lambda: "goes on after a reload" in service.log, "the service has reloaded")
    service.await_ready()
    assert identity(service) == ("a", store, start)
    service.stop()
    service.start()
    assert identity(service)[:2] == ("a", store)
    assert identity(service)[2] != start


def test_another_name(make_service: ServiceMaker) -> None:
    """Another name is refused at a start and at a reload while an output sends it, and else only logged."""
    service = make_service(more=["--node=a", RECEIVER]).start()
    until(lambda: service.status()["store"], "the store is open")
    at = service.command.index("--node=a")
    config = service.folder / "node.toml"
    service.stop()
    service.command[at] = f"--config={config}"
    config.write_text('node = "a"\n')
    service.start()
    config.write_text('node = "b"\n')
    service.process.send_signal(signal.SIGHUP)
    until(lambda: "is the store of the node a, and this one is called b" in service.log, "the reload is refused")
    assert identity(service)[0] == "a"
    service.stop()
    service.launch()
    assert service.wait_ended() == 1
    assert "is the store of the node a, and this one is called b" in service.log
    config.write_text('node = "b"\nrename-node = true\n')
    service.start()
    until(lambda: "was called a, and is called b now" in service.log, "the name is changed")
    service.stop()
    service.command.remove(RECEIVER)
    config.write_text('node = "c"\n')
    service.start()
    until(lambda: "was called b, and is called c now" in service.log, "the name is changed")
