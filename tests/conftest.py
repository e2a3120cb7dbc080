"""How the tests are run: on all processors, the longest first, what is dear only once; and how hypothesis tries."""

from __future__ import annotations

import gc
import os
import signal
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.connections import Connections
from tests.profiles import register
from tests.shared import Shared
from tests.skips import Skips

PROCESSES = 3
"""Processes that run tests, for each processor: many tests wait for a service most of their time."""

LONGEST_FIRST = (
    "tests/packaging/test_installed.py",
    "tests/packaging/test_upgrade.py",
    "tests/packaging/test_way_back.py",
    "tests/functional/test_fleet.py::test_absorb",
    "tests/functional/test_systemd.py",
    "tests/functional/test_reload.py",
    "tests/functional/test_real_clients.py",
    "tests/functional/test_real_programs.py",
    "tests/packaging/test_wheel.py",
    "tests/functional/test_placement.py",
    "tests/functional/test_damage.py",
    "tests/functional/test_user.py",
    "tests/functional/test_worker_death.py",
    "tests/functional/test_restart.py",
    "tests/functional/test_repeat.py",
    "tests/functional/test_crash_points.py",
    "tests/functional/",
    "tests/balancers/",
    "tests/unit/wire/",
    "tests/unit/aggregate/",
    "tests/unit/ingest/",
    "tests/unit/commands/",
)
"""Beginnings of the names of tests, those that take longest first; what is in none of them takes little."""

TOGETHER = (
    "tests/unit/",
    "tests/reactor/",
    "tests/packaging/",
    "tests/client/",
    "tests/torture/",
    "tests/fleet/",
    "tests/fuzz/",
    "tests/conformance/",
    "tests/functional/doctor/test_service.py",
    "tests/functional/test_checks.py",
    "tests/functional/test_client.py",
    "tests/functional/test_console.py",
    "tests/functional/test_lines.py",
    "tests/functional/test_live_page.py",
    "tests/functional/test_outputs.py",
    "tests/functional/test_pages.py",
    "tests/functional/test_prometheus.py",
    "tests/functional/test_real_clients.py",
    "tests/functional/test_real_programs.py",
    "tests/functional/test_recipes.py",
    "tests/functional/test_runbook.py",
    "tests/functional/test_start_errors.py",
    "tests/functional/test_top.py",
    "tests/functional/test_who.py",
)
"""Where one process runs all tests of a module: they are short, or have something in common, or are heavy."""

TOGETHER_BY_PARAMETER = (
    "tests/functional/test_balancer.py",
    "tests/functional/test_confirm.py",
    "tests/functional/test_counting.py",
    "tests/functional/test_graphite.py",
    "tests/functional/test_limits.py",
    "tests/functional/test_meaning_of_totals.py",
    "tests/functional/test_reload.py",
    "tests/functional/test_security.py",
    "tests/functional/test_sources.py",
    "tests/functional/test_stop.py",
    "tests/functional/test_transports.py",
    "tests/functional/test_ways_to_run.py",
)
"""Where one process runs all tests of a module with the same first parameter: they share what is made of that."""

register()

# Until the tests are collected: nothing of them is garbage.
gc.disable()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option with which the run has to be complete."""
    parser.addoption("--complete", action="store_true", help="fail when a test is skipped that root on Debian can run")


def pytest_configure(config: pytest.Config) -> None:
    """Watch for what is left open, and what is skipped; the process that the others report to judges the latter."""
    # A shell that runs us in the background has it ignored, and so would have every service that a test starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.pluginmanager.register(Connections())
    if config.getoption("--complete") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Skips())


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """Return what the processes of this run have in common."""
    own = tmp_path_factory.getbasetemp()
    return Shared(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first, and proofs last."""
    items.sort(key=lambda item: (item.get_closest_marker("proof") is not None, _rank(item.nodeid)))


def pytest_collection_finish() -> None:
    """Have no garbage collection look at the tests again: some tests ask for a whole one."""
    gc.freeze()
    gc.enable()


def _rank(name: str) -> int:
    """Return the place of a test among the longest."""
    return next((rank for rank, start in enumerate(LONGEST_FIRST) if name.startswith(start)), len(LONGEST_FIRST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many processes ``-n auto`` means."""
    return PROCESSES * len(os.sched_getaffinity(0))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Return how the tests are given to the processes: in their order."""
    config.option.loadscopereorder = False
    return _InOrder(config, log)


class _InOrder(LoadScopeScheduling):  # type: ignore[misc]  # the plugin is untyped
    """Sends each process that has next to nothing to do the next test, or the next module's."""

    def _split_scope(self, nodeid: str) -> str:
        module, _, name = nodeid.partition("::")
        if module.startswith(TOGETHER_BY_PARAMETER) and "[" in name:
            first, _, _ = name.partition("[")[2].rstrip("]").partition("-")
            return f"{module}[{first}]"
        return module if module.startswith(TOGETHER) else nodeid
