"""The nodes behind a balancer: services in namespaces of their own, on the usual ports."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

from statsd_tcp.kernel.tables import paired_lines
from tests.fleet.network import Network
from tests.functional.clients import connect, read_end
from tests.functional.service import CHECKOUT, Service, options

__all__ = ["BARE", "CLOSE_WAIT", "DEVICE", "EXAMPLES", "LINES", "TRUSTED", "VIRTUAL", "Node"]

LINES, BARE, PAGES, CONSOLE = 8125, 8888, 9102, 8126

EXAMPLES = CHECKOUT / "docs/examples/balancers"
VIRTUAL = "10.77.1.1"
"""The address of all nodes, where the kernel is the balancer."""

DEVICE = "fleet"
"""The bridge to the nodes."""

TRUSTED = "10.77.0.0/24"
"""The network of the balancer."""

ESTABLISHED, CLOSE_WAIT = "01", "08"
"""States of connections in the kernel's tables: the latter when the other side has ended its own."""


class Node(Service):
    """A service that listens on all addresses of its namespace, and on ``address``, which may be that of several.

    ``keys`` are those of its listener for lines, in addition to that by which it confirms.
    """

    def __init__(
        self, folder: Path, network: Network, name: str, address: str, keys: str, more: Sequence[str] = ()
    ) -> None:
        self.name = name
        arguments = options(
            folder / "state",
            listen=[f"tcp:{LINES}:name=lines:confirm=read{keys}"],
            count=[f"tcp:{BARE}:name=bare"],
            http=f"tcp:{PAGES}:interface=0.0.0.0",
            admin=f"tcp:{CONSOLE}:interface=0.0.0.0",
            more=more,
        )
        own = ["sh", "-c", f'ip address add {address}/32 dev lo 2>/dev/null; exec "$@"', "sh"]
        super().__init__(folder, arguments, prefix=[*network.inside(name), *own])
        self.host = network.addresses[name]
        self._told = 0

    def tell(self, command: str) -> None:
        """Send the console a command, and wait until it is done."""
        self._told += 1
        connection = connect(CONSOLE, self.host)
        connection.sendall(f"{command}\n".encode())
        connection.shutdown(socket.SHUT_WR)
        read_end(connection)

    def accepted(self, listener: str) -> float:
        """Return the connections that a listener has counted."""
        return self.metrics().accepted(listener)

    def others(self) -> int:
        """Return how many connections the kernel has opened in the namespace that were not this test's questions."""
        return self._kernel_count("snmp", "Tcp.PassiveOpens") - self.asked - self._told

    def given_up(self) -> int:
        """Return how many clients have reset instead of completing the handshake."""
        return self._kernel_count("netstat", "TcpExt.EmbryonicRsts")

    def checks(self) -> int:
        """Return how many connections were opened or given up."""
        return self.others() + self.given_up()

    def opened(self, listener: str) -> float:
        """Return the connections of a listener that are open."""
        return self.metrics().total("statscounter_connections_open", listener=listener)

    def waiting(self, listener: str) -> float:
        """Return the connections to a listener that wait to be accepted."""
        return self.metrics().total("statscounter_accept_queue_length", listener=listener)

    def evicted(self) -> float:
        """Return how many connections had to make room for others."""
        return self.metrics().closed("lines").get("evicted", 0)

    def peers(self, port: int, state: str = ESTABLISHED) -> list[str]:
        """List the addresses of those that are connected to a port."""
        rows = [line.split() for table in ("tcp", "tcp6") for line in self._table(table).splitlines()[1:]]
        return [_address(row[2]) for row in rows if row[1].endswith(f":{port:04X}") and row[3] == state]

    def _kernel_count(self, table: str, name: str) -> int:
        return paired_lines(self._table(table))[name]

    def _table(self, name: str) -> str:
        return Path(f"/proc/{self.process.pid}/net/{name}").read_text()


def _address(written: str) -> str:
    """Return an IPv4 address as people write it; the kernel's tables have its bytes backwards, as the last four."""
    number = bytes.fromhex(written.partition(":")[0][-8:])
    return socket.inet_ntoa(number[::-1])
