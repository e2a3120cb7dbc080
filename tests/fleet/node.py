"""A node: the service in a namespace, with a state folder of its own and both engines as outputs."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.fleet.balancer import HTTP_PORT, LINES_PORT
from tests.fleet.network import Network
from tests.functional.processes import end_all
from tests.functional.receivers import Engine
from tests.functional.service import Service, options, script
from tests.functional.small_disk import mount, unmount
from tests.functional.waiting import until
from tests.functional.wall_clock import WallClock

__all__ = ["HITS", "Node"]

HITS = "fleet_hits"
"""The counter that the clients' line adds to, as the page has it."""

_STORED = "fleet.hits"
"""The same as it is sent, and stored."""

_NOT_YET = ("start its service, and stop it when these are delivered", "ahead of our clock; wait until then")
"""Part of the line with which a node is not handed over yet."""

_DISK = 192 << 20
_COMPLETE = "the reload is complete"


class Node(Service):
    """``clock`` is its own wall clock, and its state is on a small disk of its own."""

    def __init__(self, folder: Path, network: Network, name: str, engines: Mapping[str, Engine]) -> None:
        folder.mkdir()
        self.name = name
        host = network.addresses[name]
        self.disk = folder / "disk"
        self.disk.mkdir()
        assert mount(self.disk, _DISK)
        self.clock = WallClock(folder)
        outputs = [f"--remote-write={engine.url}:every=1:name={kind}" for kind, engine in engines.items()]
        arguments = options(
            self.disk / "state",
            listen=[f"tcp:{LINES_PORT}:interface={host}:name=lines:confirm=read"],
            count=[],
            http=f"tcp:{HTTP_PORT}:interface={host}",
            more=[f"--node={name}", *outputs],
        )
        super().__init__(folder, arguments, prefix=network.inside(name), environ=self.clock.environ)
        self._former = 0
        self.host = host
        self.state = self.disk / "state"

    def reload(self) -> None:
        """Have it reload, and wait until that is complete."""
        before = self.log.count(_COMPLETE)
        self.process.send_signal(signal.SIGHUP)
        until(lambda: self.log.count(_COMPLETE) > before and self.is_ready(), f"node {self.name} has reloaded")

    def hits(self) -> float:
        """Return what it has of the clients' lines."""
        return sum(self.metrics().values(HITS))

    def stored_hits(self) -> float:
        """Return the same from its store, when it has ended."""
        command = [script("statscounter"), "store", f"--state-dir={self.state}", "export"]
        done = subprocess.run(command, env=self.environ, check=True, capture_output=True)
        series = [json.loads(line) for line in done.stdout.splitlines()]
        return sum(float(each["value"]) for each in series if each.get("series") == _STORED)

    def is_at_rest(self) -> bool:
        """Return whether all that came is committed, and nothing waits for an engine."""
        return self._is_settled()

    def has_guests(self) -> bool:
        """Return whether it has a store of another node that it has not taken over yet."""
        return any((self.state / "absorb").glob("*"))

    def tell(self) -> None:
        """Print all that it has said."""
        for log in sorted(self.folder.glob("start-*.log")):
            print(f"--- node {self.name} {log.name}\n{log.read_text()}")  # noqa: T201

    def give_to(self, other: Node, how: str) -> bool:
        """Have another node take over what this one has counted, or say goodbye for it; this one has ended.

        Return whether that is done: a node that has itself taken over another one must first have told the engines, and
        one whose clock was ahead has samples that are to come.
        """
        command = [script("statscounter"), "store", f"--state-dir={other.state}", how, str(self.state)]
        done = subprocess.run(command, env=other.environ, check=False, capture_output=True, text=True)
        assert done.returncode == 0 or any(why in done.stderr for why in _NOT_YET), done.stderr
        return done.returncode == 0

    def forget(self) -> None:
        """Begin with an empty state folder and another name the next time: the former one is still said goodbye to."""
        self._former += 1
        self.state.rename(self.state.with_name(f"former-{self._former}"))
        at = next(at for at, part in enumerate(self.command) if part.startswith("--node="))
        self.command[at] = f"--node={self.name}-{self._former}"

    def end_quietly(self) -> None:
        """Kill whatever is left of it."""
        end_all(self.mark)
        for process in self._processes:
            process.wait()
        unmount(self.disk)
