"""Connections to SQLite that a test leaves open: the test fails for them, on every version of Python.

From 3.13 on a connection that is collected while it is open is a warning. What is in a cycle may be collected while
another test runs, and that other test would fail.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Connections"]


class Connections:
    """Plugin: notes all connections that this process opens, so that none that is open is garbage."""

    def __init__(self) -> None:
        self._patch = pytest.MonkeyPatch()
        self._open: list[_Connection] = []
        self._told: list[_Connection] = []

    def pytest_configure(self) -> None:
        """Note them from now on."""
        factory = partial(_Connection, self._open)
        self._patch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=factory))

    def pytest_unconfigure(self) -> None:
        """Note no more."""
        self._patch.undo()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Generator[None, Any, Any]:
        """Fail the test that has left some, when all fixtures that end with it have ended."""
        result = yield
        if self._open:
            # Only the thread that has opened one can close it.
            paths = ", ".join(connection.path for connection in self._open)
            self._told += self._open
            self._open.clear()
            pytest.fail(f"connections are left open, to {paths}", pytrace=False)
        return result


class _Connection(sqlite3.Connection):
    """One that is noted while it is open."""

    def __init__(self, noted: list[_Connection], path: str | Path, *arguments: Any, **more: Any) -> None:
        super().__init__(path, *arguments, **more)
        self.path = str(path)
        self._noted = noted
        noted.append(self)

    def close(self) -> None:
        super().close()
        if self in self._noted:
            self._noted.remove(self)
