"""A run that fails when a test was skipped without need: ``pytest --complete``.

Tests run anywhere: one that needs root, a namespace, a program or a package skips itself where there is none. On a
machine that has all of that, a test that always skips itself never runs.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

__all__ = ["PERMITTED", "Skips", "is_permitted"]

PERMITTED = {
    "IPv6": "a container may have no IPv6, also where root runs the tests",
    "needs two processors": "a machine may have one",
    "on this machine every port may be had without rights": "a setting of the kernel, which containers share",
    "there is no Python": "the client is tried on those from 3.9 on that a machine has",
    "this Python is closed to other users": "an interpreter in root's own folder; Debian's is open to all",
}
"""Parts of the reasons for which a test may be skipped where Debian's root runs all, each with why."""


def is_permitted(reason: str) -> bool:
    """Return whether a test may skip itself for this reason in a complete run."""
    return any(re.search(rf"\b{re.escape(part)}\b", reason) for part in PERMITTED)


class Skips:
    """Plugin: collects the skipped tests, names those without a permitted reason, and fails the run for them."""

    def __init__(self) -> None:
        self._unwanted: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that was skipped."""
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a module that was skipped."""
        self._note(report)

    def _note(self, report: Any) -> None:
        # A test that is expected to fail counts as skipped too.
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = str(report.longrepr[2]).removeprefix("Skipped: ")
            if not is_permitted(reason):
                self._unwanted.append(f"{report.nodeid}: {reason}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run in which all else went well."""
        if self._unwanted and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Name them."""
        if self._unwanted:
            terminalreporter.section("skipped without need (tests/skips.py)", red=True)
            for line in self._unwanted:
                terminalreporter.write_line(line)
