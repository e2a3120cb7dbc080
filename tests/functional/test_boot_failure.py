"""Workers that cannot start end the service with a clear message, and those that start late are waited for."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from textwrap import dedent, indent

from tests.functional.clients import half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.service import Service
from tests.functional.waiting import until

_IN_WORKERS = """
import sys
if "statsd_tcp.workers" in sys.orig_argv:
"""
"""Beginning of a sitecustomize: what follows happens in workers only, before anything of theirs is imported."""


def customized(folder: Path, body: str) -> dict[str, str]:
    """Return an environment in which every worker does this first."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_IN_WORKERS + indent(dedent(body), "    "))
    return {"PYTHONPATH": str(folder)}


def waiting_for(gate: Path) -> str:
    """Let the worker in slot N start only when there is a file ``gate`` with ``-N`` behind its name."""
    return f"""
    import os, time
    while not os.path.exists("{gate}-" + sys.orig_argv[-1]):
        time.sleep(0.02)
    """


def test_workers_that_cannot_start(make_service: ServiceMaker, tmp_path: Path) -> None:
    """When no worker ever starts the service ends with status 1, and says why in its log and in a last line."""
    broken = 'sys.modules["msgspec"] = None  # as in a damaged installation'
    service = make_service(workers=2, environ=customized(tmp_path / "site", broken))
    service.launch()
    assert service.wait_ended() == 1
    log = service.log
    # Either may have failed as often as it takes before the other one has failed once.
    assert re.search("worker [01]: ModuleNotFoundError: import of msgspec halted", log)
    assert re.search(r"worker [01] could not start \(exit status 1\)", log)
    (told,) = [line for line in log.splitlines() if line.startswith("statscounter: ")]
    assert told.startswith("statscounter: workers cannot start: ")
    assert told.endswith("could not start (exit status 1); the lines above say why")


def test_counts_survive_workers_that_cannot_start(start_service: ServiceMaker, tmp_path: Path) -> None:
    """A start that comes to nothing leaves the totals as they were."""
    marker = tmp_path / "broken"
    fails = f'import os\nif os.path.exists("{marker}"): os._exit(7)'
    service = start_service(environ=customized(tmp_path / "site", fails))
    half_close(service.port("lines"), b"hits:1|c")
    service.stop()
    marker.touch()
    service.launch()
    assert service.wait_ended() == 1
    assert "could not start (exit status 7)" in service.log
    marker.unlink()
    metrics = service.start().metrics()
    assert metrics.total("hits") == 1
    assert metrics.closed("lines") == {"eof": 1}


def launch_waiting(make_service: ServiceMaker, folder: Path) -> Service:
    """Launch a service with two workers that wait at their gates, ``gate-0`` and ``gate-1`` in the folder."""
    service = make_service(workers=2, environ=customized(folder / "site", waiting_for(folder / "gate")))
    service.launch()
    service.http_port = until(service.site_port, "its pages are there")
    return service


def test_ready_when_a_worker_accepts(make_service: ServiceMaker, tmp_path: Path) -> None:
    """Until a worker accepts the service is healthy but not ready; with the first it is, with the last it greets."""
    service = launch_waiting(make_service, tmp_path)
    nobody = "no worker accepts at lines, datagrams, bare"
    until(lambda: service.page("/readyz").text == nobody, "no worker accepts")
    assert service.page("/readyz").status == service.page("/-/ready").status == 503
    assert service.page("/healthz").text == service.page("/-/healthy").text == "ok"
    (tmp_path / "gate-0").touch()
    until(lambda: service.page("/readyz").status == 200, "one worker accepts")
    assert service.page("/readyz").text == service.page("/-/ready").text == "ok"
    assert service.metrics().by("statscounter_workers", "state") == {"ready": 1, "starting": 1}
    assert not service.has_greeted()
    (tmp_path / "gate-1").touch()
    service.await_ready()
    assert service.metrics().by("statscounter_workers", "state") == {"ready": 2}


def test_stop_while_starting(make_service: ServiceMaker, tmp_path: Path) -> None:
    """A stop while some worker does not accept yet is a clean one, which counts what the others have."""
    service = launch_waiting(make_service, tmp_path)
    (tmp_path / "gate-0").touch()
    until(lambda: service.page("/readyz").text == "ok", "only one worker is missing")
    assert service.stop() == -signal.SIGTERM
    assert service.ledgers == []
