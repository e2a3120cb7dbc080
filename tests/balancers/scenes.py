"""What is done with two nodes behind a balancer, and what both sides have counted.

Run as ``unshare --net --mount python -m tests.balancers.scenes FOLDER SCENE BALANCER``, as root; prints JSON.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.balancers.fronts import DEVICE, FRONTS, VIRTUAL, Front, HAProxy, Nginx
from tests.balancers.nodes import BARE, CLOSE_WAIT, LINES, Node
from tests.fleet.network import OUTSIDE, Network
from tests.functional.clients import Burst, Outcome, bare, connect, half_close, read_end
from tests.functional.waiting import PATIENCE, until

__all__ = ["CLIENT", "SCENES", "main"]

CLIENT = "10.77.0.101"
"""Where the clients come from that keep their connections."""

_LINE = b"hits:1|c\n"
_CHECKS = 4
"""Checks of each node that a test waits for."""

_BY_PAGE = "    option httpchk GET /readyz\n    default-server check port 9102 inter 1s fall 2 rise 2\n"
_INTERVAL = "    default-server check inter 100ms\n"
_BY_PORT: dict[str, tuple[str, Callable[[Node], int]]] = {
    "connect": (_INTERVAL, Node.given_up),
    "send": (f"    option tcp-check\n    tcp-check connect\n    tcp-check send x\n{_INTERVAL}", Node.others),
}
"""Checks of the ports that count: the lines that stand in the place of `_BY_PAGE`, and where a node sees them."""


class Stage:
    """The nodes, the balancer in front of them, and the clients."""

    def __init__(self, folder: Path, balancer: str) -> None:
        self.folder = folder
        self._network = Network(["a", "b"])
        subprocess.run(["ip", "address", "add", f"{CLIENT}/24", "dev", DEVICE], check=True)
        self.nodes = [Node(folder / name, self._network, name, VIRTUAL) for name in ("a", "b")]
        self.front: Front = FRONTS[balancer](folder)
        self.host = OUTSIDE if isinstance(self.front, HAProxy | Nginx) else VIRTUAL
        self.clients: list[Burst] = []

    def start(self) -> None:
        """Start the nodes, then the balancer."""
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.await_ready()
        self.front.start(self.nodes)

    def lines(self, number: int) -> Burst:
        """Start clients that send a line each, and half-close."""
        burst = Burst(lambda: half_close(LINES, _LINE, self.host), number).start()
        self.clients.append(burst)
        return burst

    def outcomes(self) -> Outcome:
        """Wait for all clients that send lines, and return how they fared."""
        return Outcome(*map(sum, zip(*(burst.join() for burst in self.clients), strict=True)))

    def counted(self, listener: str) -> list[float]:
        """Return the connections that each node has counted."""
        return [node.accepted(listener) for node in self.nodes]

    def settled(self) -> dict[str, Any]:
        """Return what the nodes have counted together, when all is over."""
        scrapes = [node.settled() for node in self.nodes]
        return {
            "connections": sum(each.accepted("lines") for each in scrapes),
            "lines": sum(each.total("hits") for each in scrapes),
            "reasons": sorted({reason for each in scrapes for reason in each.closed("lines")}),
            "bare": sum(each.accepted("bare") for each in scrapes),
        }

    def end(self) -> None:
        """End everything."""
        self.front.end()
        for node in self.nodes:
            node.end()
        self._network.end()


def drain(stage: Stage) -> dict[str, Any]:
    """Take a node out under load, stop and start it, bring it back and have it reload."""
    node, _ = stage.nodes
    bares = Burst(lambda: bare(BARE, stage.host), 200).run()
    stage.lines(200).join()
    spread = [stage.counted("lines"), stage.counted("bare")]
    kept = _keep(stage)
    peers = sorted({peer for each in stage.nodes for peer in each.peers(LINES)})
    under_load = stage.lines(2000)
    under_load.reach(200)
    stage.front.take_out(node)
    before = node.accepted("lines")
    under_load.join()
    stage.lines(200).join()
    late = node.accepted("lines") - before
    ends = [_end(each) for each in kept]
    under_load = stage.lines(2000)
    under_load.reach(200)
    node.stop()
    node.start()
    under_load.join()
    stage.front.bring_back(node)
    _reload_under_load(stage, node)
    outcomes = stage.outcomes()
    return {
        "spread": spread, "bare": bares, "peers": peers, "late": late, "ends": ends, "kept": len(kept),
        "clients": outcomes, "counted": stage.settled(),
    }  # fmt: skip


def stop(stage: Stage) -> dict[str, Any]:
    """Stop a node under load without taking it out, and start it again."""
    node, _ = stage.nodes
    stage.lines(20).join()
    under_load = stage.lines(4000)
    under_load.reach(200)
    node.stop()
    under_load.join()
    node.start()
    return {"clients": stage.outcomes(), "counted": stage.settled()}


def _keep(stage: Stage) -> list[socket.socket]:
    """Open connections with a line each until both nodes have one."""
    kept: list[socket.socket] = []

    def both_have_one() -> bool:
        connection = connect(LINES, stage.host, CLIENT)
        connection.sendall(_LINE)
        kept.append(connection)
        return all(node.peers(LINES) for node in stage.nodes)

    until(both_have_one, "both nodes have a connection that stays")
    return kept


def _end(connection: socket.socket) -> str:
    """Send another line, half-close, and wait for the end; return how it was."""
    try:
        connection.sendall(_LINE)
        connection.shutdown(socket.SHUT_WR)
        read_end(connection)
    except OSError:
        return "broken"
    return "clean"


def _reload_under_load(stage: Stage, node: Node) -> None:
    under_load = stage.lines(1000)
    under_load.reach(100)
    node.process.send_signal(signal.SIGHUP)
    until(lambda: "the reload is complete" in node.log and node.is_ready(), "the node has reloaded")
    under_load.join()
    stage.lines(100).join()


def held(stage: Stage) -> dict[str, Any]:
    """Half-close while no node reads, and see whether the end comes nevertheless."""
    return _half_close_meanwhile(stage, _has_ended)


def hasty(stage: Stage) -> dict[str, Any]:
    """Do the same with an nginx that closes both sides at once, and wait for the end."""
    stage.front.end()
    stage.front = Nginx(stage.folder, stage.front.text.replace("proxy_half_close on;", ""))
    stage.front.start(stage.nodes)
    return _half_close_meanwhile(stage, lambda connection: connection.recv(1) == b"")


def _half_close_meanwhile(stage: Stage, has_ended: Callable[[socket.socket], bool]) -> dict[str, Any]:
    stage.lines(20).join()
    with ExitStack() as stack:
        for node in stage.nodes:
            stack.enter_context(node.workers_held())
        connection = connect(LINES, stage.host)
        connection.sendall(_LINE)
        connection.shutdown(socket.SHUT_WR)
        until(lambda: any(node.peers(LINES, CLOSE_WAIT) for node in stage.nodes), "the half-close has come to a node")
        early = has_ended(connection)
    read_end(connection)
    return {"early": early, "counted": stage.settled()}


def _has_ended(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    finally:
        connection.settimeout(PATIENCE)


def checks(stage: Stage) -> dict[str, Any]:
    """Have HAProxy check the nodes by the page, by connecting to each port, and by sending something there."""
    shown = stage.front.text
    assert _BY_PAGE in shown
    # What the kernel had opened before the balancer started were questions of this test.
    result = {"page": _await_checks(stage, Node.others, [0, 0])}
    for kind, (lines, count) in _BY_PORT.items():
        before = [count(node) for node in stage.nodes]
        stage.front = HAProxy(stage.folder, shown.replace(_BY_PAGE, lines))
        stage.front.start(stage.nodes)
        result[kind] = _await_checks(stage, count, before)
    return result


def _await_checks(stage: Stage, count: Callable[[Node], int], before: Sequence[int]) -> dict[str, Any]:
    """Wait until all nodes were checked several times, end that, and return the checks and all connections so far."""

    def all_were() -> bool:
        return all(count(node) >= number + _CHECKS for node, number in zip(stage.nodes, before, strict=True))

    until(all_were, "all nodes were checked")
    stage.front.end()
    scrapes = [node.settled() for node in stage.nodes]
    return {
        "checks": sum(count(node) for node in stage.nodes) - sum(before),
        "connections": sum(scrape.accepted(name) for scrape in scrapes for name in ("lines", "bare")),
        "reasons": sorted(
            {reason for scrape in scrapes for name in ("lines", "bare") for reason in scrape.closed(name)}
        ),
    }


SCENES = {"drain": drain, "stop": stop, "held": held, "hasty": hasty, "checks": checks}


def main(folder: Path, scene: str, balancer: str) -> None:
    """Play one scene."""
    for place in ("/run", "/var/log/nginx"):
        if Path(place).exists():
            subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    stage = Stage(folder, balancer)
    try:
        stage.start()
        result = SCENES[scene](stage)
    finally:
        stage.end()
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
