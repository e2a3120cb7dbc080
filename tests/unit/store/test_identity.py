"""Who a store is."""

from __future__ import annotations

from typing import cast

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from statsd_tcp.store.backup import write_backup
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.identity import Identity, identity_of, take_identity
from statsd_tcp.store.inspection import check_file, check_node
from tests.unit.store.cases import StoreTestCase


class IdentityTests(StoreTestCase):
    """`take_identity` and `check_identity`, by way of `Store`."""

    def identity(self, node: str = "") -> Identity:
        """Open the store as a node, and return who it is."""
        store = self.open(node=node)
        self.assertEqual(store.snapshot.store, store.identity.uuid)
        store.close()
        return store.identity

    def test_made_once(self) -> None:
        """A store has a UUID from its first opening, and keeps it; another store has another."""
        first = self.identity("a")
        self.assertEqual((first.node, first.heir, len(first.uuid)), ("a", "", 36))
        self.assertEqual(self.identity("a"), first)
        self.path = self.path.with_name("other.sqlite")
        self.assertNotEqual(self.identity("a").uuid, first.uuid)

    def test_store_without(self) -> None:
        """One that was made by a version without UUIDs gets one."""
        store = self.open()
        store.change(lambda connection: connection.execute("DROP TABLE identity"))
        self.assertIsNone(store.look(identity_of))
        store.close()
        check_file(self.path, "a", may_rename=False)
        self.assertEqual(self.identity("a").node, "a")

    def test_another_name(self) -> None:
        """The name may be changed, unless an output sends it: then it is refused in a line that says what to do."""
        first = self.identity("a")
        error = self.assertRaises(StoreError, check_file, self.path, "b", may_rename=False)
        self.assertIn("is the store of the node a, and this one is called b", str(error))
        self.assertIn("--node a keeps the name, --rename-node changes it", str(error))
        check_file(self.path, "a", may_rename=False)
        check_file(self.path, "b", may_rename=True)
        events: list[LogEvent] = []
        globalLogPublisher.addObserver(cast("ILogObserver", events.append))
        self.addCleanup(globalLogPublisher.removeObserver, cast("ILogObserver", events.append))
        self.assertEqual(self.identity("b"), first._replace(node="b"))
        self.assertEqual(len(events), 1)

    def test_while_it_is_open(self) -> None:
        """A reload finds another name out while the store is open."""
        store = self.open(node="a")
        check_node(self.path, "a", may_rename=False)
        self.assertRaises(StoreError, check_node, self.path, "b", may_rename=False)
        store.close()
        self.path.write_bytes(b"what is this?" * 1000)
        check_node(self.path, "b", may_rename=False)

    def test_backup(self) -> None:
        """A backup has the UUID of its store."""
        store = self.open(node="a")
        copy = self.path.with_name("backup.sqlite")
        store.look(lambda connection: write_backup(connection, copy, 1.0))
        store.close()
        self.path = copy
        self.assertEqual(self.identity("a"), store.identity)

    def test_handed_over(self) -> None:
        """A store whose totals another one has is refused."""
        store = self.open()
        store.change(lambda connection: connection.execute("UPDATE identity SET heir = 'x'"))
        self.assertEqual(store.change(lambda connection: take_identity(connection, ""))[0].heir, "x")
        store.close()
        error = self.assertRaises(StoreError, check_file, self.path, "")
        self.assertIn("was handed over to the store x", str(error))
