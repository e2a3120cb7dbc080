"""What is done with two nodes behind a balancer, and what both sides have counted.

Run as ``unshare --net --mount python -m tests.balancers.scenes FOLDER SCENE BALANCER``, as root; prints JSON.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.balancers.fronts import HAProxy, Nginx
from tests.balancers.nodes import BARE, CLOSE_WAIT, LINES, Node
from tests.balancers.stage import CLIENT, CONFIRMATION, GREEDY, LINE, Stage, read_confirmation
from tests.functional.clients import Burst, bare, connect
from tests.functional.waiting import PATIENCE, until

__all__ = ["SCENES", "main"]

_CHECKS = 8
"""Checks of each node that a test waits for."""

_BY_PAGE = "    option httpchk GET /readyz\n    default-server check port 9102 inter 1s fall 2 rise 2\n"
_INTERVAL = "    default-server check inter 100ms\n"
_BY_PORT = {
    "connect": _INTERVAL,
    "send": f"    option tcp-check\n    tcp-check connect\n    tcp-check send x\n{_INTERVAL}",
}
"""Checks of the ports that count: the lines that stand in the place of `_BY_PAGE`."""


def drain(stage: Stage) -> dict[str, Any]:
    """Take a node out under load, stop and start it, bring it back and have it reload."""
    node, _ = stage.nodes
    bares = Burst(lambda: bare(BARE, stage.host), 200).run()
    stage.lines(200).join()
    spread = [stage.counted("lines"), stage.counted("bare")]
    kept = _keep(stage)
    peers = sorted({peer for each in stage.nodes for peer in each.peers(LINES)})
    under_load = stage.lines(1200)
    under_load.reach(200)
    stage.front.take_out(node)
    # Some were on their way to the node, and only those that came later must not be there.
    under_load.join()
    until(lambda: not node.waiting("lines"), "what was under way to the node is accepted")
    before = node.accepted("lines")
    stage.lines(1000).join()
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
    return {"clients": stage.outcomes(), "late": len(stage.late), "counted": stage.settled()}


def places(stage: Stage) -> dict[str, Any]:
    """Have one client keep a connection, and another one take all places."""
    kept = connect(LINES, stage.host, CLIENT)
    kept.sendall(LINE)
    until(lambda: sum(node.opened("lines") for node in stage.nodes) == 1, "the client is there")
    greedy = []

    def all_are_taken() -> bool:
        connection = connect(LINES, stage.host, GREEDY)
        connection.sendall(LINE)
        greedy.append(connection)
        return all(node.evicted() for node in stage.nodes)

    until(all_are_taken, "places were taken back on both nodes")
    result = _end(kept)
    for connection in greedy:
        connection.close()
    return {"kept": result}


def _keep(stage: Stage) -> list[socket.socket]:
    """Open connections with a line each until both nodes have one."""
    kept: list[socket.socket] = []

    def both_have_one() -> bool:
        connection = connect(LINES, stage.host, CLIENT)
        connection.sendall(LINE)
        kept.append(connection)
        return all(node.peers(LINES) for node in stage.nodes)

    until(both_have_one, "both nodes have a connection that stays")
    return kept


def _end(connection: socket.socket) -> str:
    """Send another line, half-close, and wait for the end; return how it was."""
    try:
        connection.sendall(LINE)
        connection.shutdown(socket.SHUT_WR)
        read_confirmation(connection)
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
        connection.sendall(LINE)
        connection.shutdown(socket.SHUT_WR)
        until(lambda: any(node.peers(LINES, CLOSE_WAIT) for node in stage.nodes), "the half-close has come to a node")
        early = has_ended(connection)
    confirmed = connection.recv(len(CONFIRMATION)) == CONFIRMATION
    connection.close()
    return {"early": early, "confirmed": confirmed, "counted": stage.settled()}


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
    result = {"page": _await_checks(stage, [0, 0])}
    for kind, lines in _BY_PORT.items():
        before = [node.checks() for node in stage.nodes]
        stage.front = HAProxy(stage.folder, shown.replace(_BY_PAGE, lines))
        stage.front.start(stage.nodes)
        result[kind] = _await_checks(stage, before)
    return result


def _await_checks(stage: Stage, before: Sequence[int]) -> dict[str, Any]:
    """Wait until all nodes were checked several times, end that, and return what was counted in the whole scene."""

    def all_were() -> bool:
        return all(node.checks() >= number + _CHECKS for node, number in zip(stage.nodes, before, strict=True))

    until(all_were, "all nodes were checked")
    assert isinstance(stage.front, HAProxy)
    stage.front.end_checks()
    scrapes = [node.settled() for node in stage.nodes]
    stage.front.end()
    return {
        "opened": sum(node.others() for node in stage.nodes),
        "given up": sum(node.given_up() for node in stage.nodes),
        **{name: dict(sum((Counter(each.closed(name)) for each in scrapes), Counter())) for name in ("lines", "bare")},
    }


SCENES = {"drain": drain, "stop": stop, "places": places, "held": held, "hasty": hasty, "checks": checks}


_OPTIONS = {"places": ["--max-connections=32"]}
"""Options of the nodes for single scenes."""


def main(folder: Path, scene: str, balancer: str) -> None:
    """Play one scene."""
    for place in ("/run", "/var/log/nginx"):
        if Path(place).exists():
            subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    stage = Stage(folder, balancer, _OPTIONS.get(scene, ()))
    try:
        stage.start()
        result = SCENES[scene](stage)
    finally:
        stage.end()
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
