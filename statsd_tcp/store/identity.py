"""Who a store is: a UUID that is made with it, and the name of the node that has it.

    CREATE TABLE identity (uuid, node, heir)      one row

Copies have the same UUID: two services that run with it are found by that. ``heir`` is the UUID of the store to which
the totals of this one were handed over; "" for none.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final, NamedTuple
from uuid import uuid4

from statsd_tcp.store.errors import StoreError

__all__ = ["Identity", "check_identity", "identity_of", "take_identity"]

_TABLE: Final = "CREATE TABLE IF NOT EXISTS identity (uuid TEXT NOT NULL, node TEXT NOT NULL, heir TEXT NOT NULL)"


class Identity(NamedTuple):
    """A store's UUID, the name of its node, and the UUID of the store that has its totals; "" for none."""

    uuid: str
    node: str
    heir: str = ""


def identity_of(connection: sqlite3.Connection) -> Identity | None:
    """Return who a store is; None if it was never opened by a version that gives it a UUID."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'identity'").fetchone() is None:
        return None
    row = connection.execute("SELECT uuid, node, heir FROM identity").fetchone()
    return None if row is None else Identity(*row)


def take_identity(connection: sqlite3.Connection, node: str) -> tuple[Identity, str]:
    """Make a store that of a node, within a transaction; return who it is, and the name that it had before."""
    known = identity_of(connection)
    if known is None:
        known = Identity(str(uuid4()), node)
        connection.execute(_TABLE)
        connection.execute("INSERT INTO identity (uuid, node, heir) VALUES (?, ?, ?)", known)
    if node and node != known.node:
        connection.execute("UPDATE identity SET node = ?", (node,))
        return known._replace(node=node), known.node
    return known, known.node


def check_identity(connection: sqlite3.Connection, path: Path, node: str, *, may_rename: bool) -> None:
    """Raise `StoreError` for a store that a node of that name may not have."""
    known = identity_of(connection)
    if known is None:
        return
    if known.heir:
        raise StoreError(
            f"{path} was handed over to the store {known.heir}, which has its totals now: move it away, and start with "
            "an empty state folder"
        )
    if node != known.node and known.node and not may_rename:
        raise StoreError(
            f"{path} is the store of the node {known.node}, and this one is called {node}: its series would begin "
            f"again under another name; --node {known.node} keeps the name, --rename-node changes it"
        )
