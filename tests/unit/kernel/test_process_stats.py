"""Who has a port, and how many descriptors and how much memory a process has."""

from __future__ import annotations

import os
import resource
import socket

from statsd_tcp.kernel.port_owner import Owner, port_owner
from statsd_tcp.kernel.process_stats import (
    ProcessState,
    open_descriptors,
    process_state,
    resident_memory,
    sockets_of,
)
from tests.unit.doctor.trees import TreeTestCase

HEADING = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def row(address: str, state: str, inode: int) -> str:
    """Write a row of a table of sockets."""
    return f"   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000        0 {inode} 1 0\n"


class PortOwnerTests(TreeTestCase):
    """A process is found by the inode of its socket."""

    def process(self, pid: int, name: str, *targets: str) -> None:
        """Make a process with descriptors that point there."""
        self.write(self.proc / str(pid) / "comm", f"{name}\n")
        (self.proc / str(pid) / "fd").mkdir()
        for number, target in enumerate(targets):
            (self.proc / str(pid) / "fd" / str(number)).symlink_to(target)

    def table(self, name: str, *rows: str) -> None:
        """Write a table of sockets."""
        self.write(self.proc / "net" / name, HEADING + "".join(rows))

    def test_found(self) -> None:
        """The process that listens is named."""
        self.table("tcp", row("0100007F:0050", "0A", 11), row("00000000:1FBD", "0A", 12))
        self.process(40, "other", "/dev/null", "socket:[11]")
        self.process(41, "nginx", "/dev/null", "socket:[12]")
        self.assertEqual(Owner("nginx", 41), port_owner("tcp", 8125, self.proc))
        self.assertEqual("nginx (pid 41)", str(port_owner("tcp", 8125, self.proc)))

    def test_closed_meanwhile(self) -> None:
        """A descriptor that is closed between the listing and the look at it does not hide the others."""
        self.process(41, "nginx", "socket:[11]", "/dev/null", "socket:[12]")
        entries = self.proc / "41/fd"
        for name in ("0a", "9"):
            (entries / name).write_text("not a link: as little to be read as one that is gone")
        self.assertEqual({11, 12}, sockets_of(41, self.proc))
        self.assertEqual(set(), sockets_of(42, self.proc))

    def test_ipv6(self) -> None:
        """One that listens on IPv6 is found as well, also where there is no IPv4."""
        self.table("tcp6", row("0" * 32 + ":1FBD", "0A", 12))
        self.process(41, "nginx", "socket:[12]")
        self.assertEqual(Owner("nginx", 41), port_owner("tcp", 8125, self.proc))

    def test_only_listeners(self) -> None:
        """A client that happens to use the port as its own does not have it."""
        self.table("tcp", row("0100007F:1FBD", "01", 12), row("0100007F:1FBD", "06", 0))
        self.process(41, "curl", "socket:[12]")
        self.assertIs(None, port_owner("tcp", 8125, self.proc))

    def test_udp(self) -> None:
        """A UDP socket has no such state."""
        self.table("udp", row("00000000:1FBD", "07", 12))
        self.table("tcp")
        self.process(41, "statsd", "socket:[12]")
        self.assertEqual(Owner("statsd", 41), port_owner("udp", 8125, self.proc))
        self.assertIs(None, port_owner("tcp", 8125, self.proc))

    def test_nobody(self) -> None:
        """A port that is free, or whose owner we may not see, has no name."""
        self.assertIs(None, port_owner("tcp", 8125, self.proc))
        self.table("tcp", row("00000000:1FBD", "0A", 12))
        self.assertIs(None, port_owner("tcp", 8125, self.proc))

    def test_processes_that_end(self) -> None:
        """A process that ends while we look is passed over; one without a name is still found."""
        self.table("tcp", row("00000000:1FBD", "0A", 12))
        (self.proc / "40").mkdir()
        self.process(41, "x", "socket:[12]")
        (self.proc / "41/comm").unlink()
        self.assertEqual("a process (pid 41)", str(port_owner("tcp", 8125, self.proc)))

    def test_this_machine(self) -> None:
        """With the real /proc we find ourselves."""
        with socket.create_server(("127.0.0.1", 0)) as one:
            owner = port_owner("tcp", one.getsockname()[1])
        self.assertIsNotNone(owner)
        self.assertEqual(os.getpid(), owner.pid if owner else 0)


class ProcessTests(TreeTestCase):
    """Descriptors and memory."""

    def test_descriptors(self) -> None:
        """One more open file is one more descriptor."""
        before = open_descriptors(os.getpid())
        with open(os.devnull, "rb"):  # noqa: PTH123  (a descriptor, not a path)
            self.assertEqual(before + 1, open_descriptors(os.getpid()))
        self.assertEqual(before, open_descriptors(os.getpid()))

    def test_memory(self) -> None:
        """Resident memory is counted in pages."""
        self.write(self.proc / "7/statm", "1000 25 10 1 0 100 0\n")
        self.assertEqual(25 * resource.getpagesize(), resident_memory(7, self.proc))

    def test_gone(self) -> None:
        """A process that is gone, or has left only its entry, has nothing."""
        self.assertEqual((0, 0), (open_descriptors(7, self.proc), resident_memory(7, self.proc)))
        self.write(self.proc / "7/statm", "")
        self.assertEqual(0, resident_memory(7, self.proc))


class ProcessStateTests(TreeTestCase):
    """What a process does."""

    def test_read(self) -> None:
        """The letter, the major faults and the ticks of the disk are found behind a name with any characters."""
        fields = ["D", *(str(number) for number in range(4, 53))]
        self.write(self.proc / "7" / "stat", f"7 (a) R b) {' '.join(fields)}\n")
        self.assertEqual(ProcessState("D", 12, 42), process_state(7, self.proc))

    def test_our_own(self) -> None:
        """The kernel writes it so."""
        state = process_state(os.getpid())
        assert state is not None
        self.assertEqual("R", state.letter)

    def test_gone(self) -> None:
        """Of one that is gone nothing is known."""
        self.assertIs(None, process_state(8, self.proc))
