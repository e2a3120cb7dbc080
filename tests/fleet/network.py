"""A network of our own: a bridge, and a namespace for each node. To be used inside ``unshare --net``, as root."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.functional.isolated import bring_up
from tests.functional.waiting import until

__all__ = ["OUTSIDE", "Network"]

OUTSIDE = "10.77.0.1"
"""Where the balancer and the engines are."""

_BRIDGE = "fleet"


class Network:
    """``addresses`` are those of the nodes, by name. A namespace lives as long as the process that holds it."""

    def __init__(self, names: Sequence[str]) -> None:
        self.addresses = {name: f"10.77.0.{number}" for number, name in enumerate(names, 11)}
        self._holders: dict[str, subprocess.Popen[bytes]] = {}
        bring_up()
        _ip("link", "add", _BRIDGE, "type", "bridge")
        _ip("address", "add", f"{OUTSIDE}/24", "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")
        for name in names:
            self._join(name)

    def inside(self, name: str) -> list[str]:
        """Return the command that runs another one in a node's namespace."""
        return ["nsenter", f"--net=/proc/{self._holders[name].pid}/ns/net"]

    def end(self) -> None:
        """Leave nothing behind."""
        for holder in self._holders.values():
            holder.kill()
            holder.wait()

    def _join(self, name: str) -> None:
        holder = self._holders[name] = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        ours = Path("/proc/self/ns/net").stat().st_ino
        until(lambda: Path(f"/proc/{holder.pid}/ns/net").stat().st_ino != ours, "the namespace is there")
        _ip("link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        _ip("link", "set", f"to-{name}", "master", _BRIDGE, "up")
        inside = self.inside(name)
        _run([*inside, "ip", "address", "add", f"{self.addresses[name]}/24", "dev", "eth0"])
        for device in ("lo", "eth0"):
            _run([*inside, "ip", "link", "set", device, "up"])


def _ip(*arguments: str) -> None:
    _run(["ip", *arguments])


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True)
