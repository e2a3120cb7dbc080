"""The programs that choose a socket of a group, run by hand: what they answer on which processor."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.sockets.bpf import NO_HANDSHAKES, program_without
from statsd_tcp.sockets.steering import program_by_cpu
from tests.unit.sockets.machine import run

# The processors of the workers, and for each receiving processor the sockets that may be chosen.
BY_CPU = (
    ((0, 1), {0: {0}, 1: {1}, 2: {0}, 3: {1}}),
    ((1, 0), {0: {1}, 1: {0}, 2: {0}, 3: {1}}),
    ((0, 2, 4), {0: {0}, 2: {1}, 4: {2}, 1: {1}, 3: {0}, 5: {2}}),
    ((4, 5, 6, 7), {4: {0}, 7: {3}, 0: {0}, 3: {3}, 9: {1}}),
    ((0, 1, 0), {0: {0, 2}, 1: {1}, 2: {2}}),
    ((3, 1, 3, 1, 3), {3: {0, 2, 4}, 1: {1, 3}, 0: {0}, 7: {2}}),
    ((0, 0, 0), {0: {0, 1, 2}, 1: {1}}),
)

SYN, ACK = 0x02, 0x10

UNEVEN: tuple[tuple[int, ...], ...] = ((), (0, 0, 1), (0, 1, 1), (0, 1, 2, 1))


class ByCpuTests(SynchronousTestCase):
    """A connection goes to the worker of the processor that received it."""

    def test_table(self) -> None:
        """A processor's own workers are chosen, all of them in the end; without any, its number decides."""
        for cpus, wanted in BY_CPU:
            program = program_by_cpu(cpus)
            found = {cpu: {run(program, cpu=cpu, random=random) for random in range(30)} for cpu in wanted}
            self.assertEqual(wanted, found, cpus)

    def test_in_order(self) -> None:
        """Where worker k is on processor k no table is needed: three instructions, however many workers."""
        self.assertEqual([3, 3], [len(program_by_cpu(range(size))) for size in (2, 256)])

    def test_not_in_turn(self) -> None:
        """Processors that were not dealt out in turn are refused: several workers of one could not be found."""
        for cpus in UNEVEN:
            self.assertRaises(ValueError, program_by_cpu, cpus)

    @given(
        st.lists(st.integers(0, 1023), min_size=1, max_size=256, unique=True),
        st.integers(1, 256),
        st.integers(0, 1100),
        st.integers(0, (1 << 32) - 1),
    )
    def test_every_machine(self, order: list[int], workers: int, cpu: int, random: int) -> None:
        """Whatever the machine, the answer is a socket of the group, and one of that processor if it has any."""
        cpus = [order[worker % len(order)] for worker in range(workers)]
        answer = run(program_by_cpu(cpus), cpu=cpu, random=random)
        self.assertLess(answer, workers)
        self.assertEqual(cpu if cpu in cpus else cpus[cpu % workers], cpus[answer])


class WithoutTests(SynchronousTestCase):
    """Some sockets are avoided."""

    @given(st.sets(st.integers(0, 40), max_size=40), st.integers(41, 60))
    def test_the_others(self, excluded: set[int], size: int) -> None:
        """Each of the others is as likely as any other, and no excluded one is ever chosen."""
        left = size - len(excluded)
        program = program_without(excluded, size)
        found = [run(program, random=random) for random in range(left)]
        self.assertEqual(sorted(set(range(size)) - excluded), sorted(found))

    def test_nobody_left(self) -> None:
        """A group without any socket left cannot be steered."""
        self.assertRaises(ValueError, program_without, [0, 1], 2)


class NoHandshakesTests(SynchronousTestCase):
    """Nothing but the first packet of a handshake is dropped."""

    def test_flags(self) -> None:
        """Of all combinations of flags only those with SYN and without ACK are dropped; all others pass whole."""
        for flags in range(1 << 8):
            header = struct.pack("!HHIIBBHHH", 40000, 8125, 1, 0, 0x50, flags, 65535, 0, 0)
            wanted = 0 if flags & SYN and not flags & ACK else (1 << 32) - 1
            self.assertEqual(wanted, run(NO_HANDSHAKES, packet=header), flags)
