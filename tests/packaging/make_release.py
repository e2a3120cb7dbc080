"""Make the state folder of release 0.1.0 again, with its wheel, and write down what the release itself makes of it.

python -m tests.packaging.make_release
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import tarfile
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from tests.functional.clients import Burst, bare, datagram, half_close
from tests.functional.processes import held
from tests.functional.service import Service
from tests.functional.waiting import until
from tests.packaging.environment import Environment
from tests.packaging.release import (
    CLIENTS,
    EXPECTED,
    NOBODY,
    QUEUED,
    STATE,
    UNREAD,
    WHEEL,
    Backend,
    delivered,
    ended,
    environment_with,
    go_on,
    move_queues,
    open_until,
    release_service,
    scene,
    unpack_state,
)

EVERY_TYPE = (
    b"hits:3|c\nhits:2|c|@0.5\nlevel:5|g\nlevel:+3|g\ntime:320|ms\ntime:100|ms|@0.1\nsize:7|h\nspread:4.5|d\n"
    b"users:ann|s\nusers:bob|s\na page/one:1|c\ntagged:1|c|#code:200,env:prod\napi.get.home.time:30|ms\n"
    b"api.put.cart.time:250|ms\nqueue.mail.depth:4|g\nnoise.x:1|c\nbad\n\n"
    b"_e{5,4}:title|text\n_sc|name|0\n"
)
OPEN = b"hits:10|c\nlevel:-2|g\ntime:40|ms\nusers:cid|s\nlate:1|c\n"
UNREADABLE = b"lost:1|c\n"

_MESSAGES = """
import json, msgspec
from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.endpoints import Endpoint
from statsd_tcp.ingest.inheritance import InheritedListener
from statsd_tcp.ingest.tls import TlsMaterial
from statsd_tcp.repeat.counts import Repeated
from statsd_tcp.repeat.target import Target
from statsd_tcp.workers.control import Boot, Collect, Committed, Drain, Gathered, LaneSpec, Ready, Retire
from statsd_tcp.workers.manifest import InheritedWorker, Manifest

interval = Interval(samples={"c": 1}, counters={"hits": 2.5}, times={"t": {3.0: 1.0}}, sets={"u": {"ann"}})
listener = InheritedListener(Endpoint("tcp", 8125, "127.0.0.1", name="lines"), 8125, [[5], [6]], [[7]], False)
said = [
    Boot("/state/ledgers/x", (LaneSpec(5, 2, 0, "lines"), LaneSpec(6, 2, 1, "tls", "length")), 9, 60.0,
         {1: TlsMaterial(b"key", b"chain", b"ca")}, (Target("udp", "127.0.0.1", 8125),), 3),
    Collect(), Committed(4096), Drain(), Retire(), Ready(),
    Gathered(64, 128, encode(interval), True, (Repeated("repeat:udp:127.0.0.1:8125", 3, 1, 2, 4, "why"),)),
    Manifest(3, [listener], [], [InheritedWorker(0, 99, "ab", 8, b"half", [9], True)], {"signal": 2}, 5.5, 1,
             "/run/x.pid", False, [77]),
]
print(json.dumps({type(one).__name__: msgspec.msgpack.encode(one).hex() for one in said}))
"""


def _make_state(folder: Path, environment: Environment) -> None:
    """Leave a state folder with everything in it that can be there."""
    crashing = release_service(folder, environment, scene(workers=1), STATSCOUNTER_CRASH="in-replay:2")
    with ended(crashing):
        crashing.start()
        half_close(crashing.port("lines"), EVERY_TYPE)
        crashing.settled()
        _kill_workers(crashing, UNREADABLE)
        until(lambda: "it is kept as" in crashing.log, "a journal is set aside")
        crashing.stop()
    service = release_service(folder, environment, scene())
    with ended(service):
        service.start()
        _all_listeners(service)
        name = f"graphite:127.0.0.1:{NOBODY[1]}"
        # The flush that has just begun is the one that will be open.
        service.wait_for(QUEUED, "statscounter_output_queued", output=name)
        half_close(service.port("lines"), OPEN)
        service.settled()
        _kill_workers(service, UNREAD, supervisor=True)
        assert service.wait_ended() == -signal.SIGKILL


def _kill_workers(service: Service, lines: bytes, *, supervisor: bool = False) -> None:
    """Kill the workers, and perhaps all else, with lines that are in their journals and nowhere else."""
    port, workers = service.port("lines"), service.worker_pids()
    with held(service.process.pid):
        assert Burst(lambda: half_close(port, lines), CLIENTS).run() == (CLIENTS, 0, 0)
        for pid in workers.values():
            os.kill(pid, signal.SIGKILL)
        if supervisor:
            service.kill()


def _all_listeners(service: Service) -> None:
    lines, dogs, count = (service.port(name) for name in ("lines", "dogs", "bare"))
    for _ in range(5):
        half_close(lines, EVERY_TYPE)
        half_close(dogs, EVERY_TYPE)
        bare(count)
    datagram(service.port("datagrams"), EVERY_TYPE)
    service.settled()


def _check_state(state: Path) -> None:
    """Fail unless everything is there; SQLite's own log is written back meanwhile."""
    suffixes = sorted(path.suffix for path in (state / "ledgers").iterdir())
    assert suffixes == [".ledger", ".ledger", ".unread"], suffixes
    with closing(sqlite3.connect(state / "totals.sqlite")) as store:
        (parts,) = store.execute("SELECT count(*) FROM slot_parts WHERE length(payload) > 0").fetchone()
        queues = store.execute("SELECT count(*) FROM slot_queue GROUP BY output").fetchall()
    assert parts, "no flush is open"
    assert queues == [(QUEUED,), (QUEUED,)], queues


def _make_expected(folder: Path, environment: Environment) -> dict[str, Any]:
    """Have the release itself go on with the state folder that was packed."""
    with ExitStack() as stack:
        backends = [stack.enter_context(Backend()) for _ in NOBODY]
        ports = [backend.port for backend in backends]
        unpack_state(folder / "state")
        _check_state(folder / "state")
        last = open_until(folder / "state")
        until(lambda: time.time() > last, "the open flush is over, as it is whenever the state folder is used")
        move_queues(folder / "state", ports)
        service = stack.enter_context(ended(release_service(folder, environment, scene(ports))))
        totals = go_on(service, backends, last)
        said = json.loads(environment.run("python", "-c", _MESSAGES).stdout)
        return {
            "totals": totals,
            "delivered": [list(map(str, delivered(backend, last))) for backend in backends],
            "messages": said,
        }


def main() -> None:
    """Make ``state.tar.gz`` and ``expected.json`` again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = environment_with(WHEEL, folder / "venv")
        _make_state(folder / "made", environment)
        with tarfile.open(STATE, "w:gz") as archive:
            for path in sorted((folder / "made" / "state").iterdir()):
                archive.add(path, path.name)
        expected = _make_expected(folder / "expected", environment)
        EXPECTED.write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
