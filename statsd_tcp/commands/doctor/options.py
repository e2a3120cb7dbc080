"""The options of ``statscounter doctor``: read and checked."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statsd_tcp.commands.arguments import count, positive, service_url
from statsd_tcp.commands.usage import UsageError

__all__ = ["ACTIONS", "DoctorOptions", "add_arguments", "from_arguments"]

ACTIONS = {
    "check": "judge this machine (the default); changes nothing",
    "audit": "judge the settings in a file: a sysctl file, a script, a saved page; changes nothing",
    "write": "write the remedies as files, and what undoes them",
    "apply": "install the remedies and verify what took effect (root; asks first)",
    "undo": "put back what apply changed (root; asks first)",
}
_PATHS = {"audit": "FILE", "write": "DIR"}


@dataclass(frozen=True, slots=True)
class DoctorOptions:
    """A checked command line. ``path`` is the file to audit or the folder to write; ``workers`` None: not said."""

    action: str
    path: Path
    rate: float
    stall: float
    workers: int | None
    status_url: str
    pid: int | None
    json: bool
    brief: bool
    yes: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and options of ``statscounter doctor``. Without an action it is ``check``."""
    parser.epilog = (
        "exit status: 0 fine, 1 warnings, 2 the rate will not be reached (audit: harmful advice), "
        "3 could not check, 64 wrong command line"
    )
    _add_options(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions (each takes the options above)")
    for name, summary in ACTIONS.items():
        # What is not given here must not hide what was given before the action.
        action = actions.add_parser(name, help=summary, description=summary, argument_default=argparse.SUPPRESS)
        if name in _PATHS:
            action.add_argument("path", type=Path, metavar=_PATHS[name])
        _add_options(action, default=argparse.SUPPRESS)
    parser.set_defaults(action="check", path=Path())


def _add_options(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    def add(name: str, usual: object, **how: Any) -> None:
        parser.add_argument(name, default=default or usual, **how)

    add("--target-rate", 10_000.0, type=positive, metavar="R", help="connections per second (default: 10000)")
    add("--stall", 2.0, type=positive, metavar="S",
        help="seconds without a worker that the queues must bridge (default: 2)")  # fmt: skip
    add("--workers", None, type=count, metavar="N",
        help="worker processes (default: the service's, or one per processor)")  # fmt: skip
    add("--status-url", None, type=service_url, metavar="URL",
        help="take ports, workers and network from a running service, as http://127.0.0.1:9102")  # fmt: skip
    add("--pid", None, type=count, metavar="PID", help="the same from its supervisor's process")
    add("--json", False, action="store_true", help="print the result as JSON")
    add("--brief", False, action="store_true", help="show only what is not fine")
    add("--yes", False, action="store_true", help="apply and undo: do not ask")


def from_arguments(given: argparse.Namespace) -> DoctorOptions:
    """Cross-check a parsed command line; raises `UsageError`."""
    if given.status_url and given.pid:
        raise UsageError("--pid and --status-url name the same thing; give one")
    return DoctorOptions(
        action=given.action,
        path=given.path,
        rate=given.target_rate,
        stall=given.stall,
        workers=given.workers,
        status_url=given.status_url or "",
        pid=given.pid,
        json=given.json,
        brief=given.brief,
        yes=given.yes,
    )
