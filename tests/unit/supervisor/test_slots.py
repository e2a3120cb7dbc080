"""All slots: those of the plan, and those of workers for which it no longer has one."""

from __future__ import annotations

import os

from statsd_tcp.supervisor.manifest import InheritedWorker
from statsd_tcp.supervisor.worker_slot import WorkerSlot
from tests.unit.supervisor.fakes import LISTENERS, break_off
from tests.unit.supervisor.supervising import SupervisorTestCase


class SlotsTests(SupervisorTestCase):
    """Two slots of a plan, and a worker that an earlier image has left."""

    def adopt(self, number: int) -> WorkerSlot:
        """Adopt the worker of that number."""
        slot = self.supervisor._slots.of(number)
        ledger, lock = self.ledger_folder.make(number, LISTENERS)
        inherited = InheritedWorker(number, 77, ledger.ledger_id, lock, b"", [], leaving=False)
        slot.adopt(inherited, ledger)
        self.assertRaises(OSError, os.fstat, lock)
        return slot

    def test_present(self) -> None:
        """A worker with a number of the plan goes on in its slot."""
        self.assertIs(self.supervisor._slots.present[1], self.adopt(1))
        self.assertEqual(["stopped", "ready"], [worker.state for worker in self.supervisor.workers()])

    def test_departing(self) -> None:
        """One with a higher number has a slot of its own, which counts to the end, and has no successor."""
        slot = self.adopt(2)
        self.assertEqual((["stopped", "stopped"], False), (
            [worker.state for worker in self.supervisor.workers()], self.supervisor._slots.are_empty
        ))  # fmt: skip
        break_off(self.reactor.channels[0])
        self.children.started[0].end(1)
        self.reactor.advance(10)
        self.assertEqual(("stopped", 1), (slot.state, len(self.children.started)))
        self.assertTrue(self.supervisor._slots.are_empty)
