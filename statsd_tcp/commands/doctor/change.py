"""``statscounter doctor write``, ``apply`` and ``undo``: the remedies as files, installed, and taken back."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from statsd_tcp.commands.doctor.options import DoctorOptions
from statsd_tcp.commands.doctor.programs import run_program
from statsd_tcp.commands.doctor.service import Service
from statsd_tcp.commands.usage import UsageError
from statsd_tcp.doctor.examination import UNCHECKED, examine, remedies
from statsd_tcp.doctor.files import remedy_files
from statsd_tcp.doctor.installation import Effect, Installation, InstallationError
from statsd_tcp.state.private_files import replace_file

__all__ = ["apply", "undo", "write"]

_SOME_NOT = 1
"""Exit status: done, but not everything is in force."""


def write(options: DoctorOptions, service: Service) -> int:
    """Write the remedies as files into a folder."""
    goal = service.goal(options.rate, options.stall, options.workers)
    files = remedy_files(examine(service.facts(), goal), goal)
    try:
        for name, text in files.items():
            path = options.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, text)
    except OSError as error:
        return _failed(f"write {options.path}: {error.strerror}")
    for name in files:
        print(options.path / name)
    if not files:
        print("nothing to change: no file was written")
    return 0


def apply(options: DoctorOptions, service: Service) -> int:
    """Show the changes, ask, install them, and verify."""
    if os.geteuid():
        return _failed("apply: needs root; statscounter doctor write DIR makes the files for root to install")
    goal = service.goal(options.rate, options.stall, options.workers)
    results = examine(service.facts(), goal)
    todo = [(result, remedy) for result, remedy in remedies(results) if remedy.automatic]
    if not todo:
        print("nothing to change")
        return 0
    for result, remedy in todo:
        was = f"  (is {remedy.previous})" if remedy.previous else ""
        what = remedy.do if remedy.kind == "notrack" else f"{remedy.name} = {remedy.value}"
        print(f"{what}{was}\n    {result.judgement.why}")
    if not _agreed(options, f"apply these {len(todo)} changes?"):
        return _SOME_NOT
    return _report(lambda: _installation().apply(results, goal))


def undo(options: DoctorOptions, service: Service) -> int:
    """Put back what was there before the first ``apply``."""
    if os.geteuid():
        return _failed("undo: needs root")
    if not _agreed(options, "put back what was there before apply?"):
        return _SOME_NOT
    return _report(_installation().undo)


def _installation() -> Installation:
    return Installation(Path("/"), Path("/proc"), run_program)


def _report(work: Callable[[], list[Effect]]) -> int:
    try:
        effects = work()
    except InstallationError as error:
        return _failed(str(error))
    for effect in effects:
        state = "ok  " if effect.good else "NOT "
        print(f"{state}{effect.name}: {effect.now}" + (f"  ({effect.note})" if effect.note else ""))
    return 0 if all(effect.good for effect in effects) else _SOME_NOT


def _agreed(options: DoctorOptions, question: str) -> bool:
    if options.yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(f"--yes: needed for {options.action} without a terminal for the question")
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


def _failed(why: str) -> int:
    print(f"statscounter doctor: {why}", file=sys.stderr)
    return UNCHECKED
