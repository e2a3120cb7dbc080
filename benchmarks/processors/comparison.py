"""The rounds of ``scaling --workers``: all numbers of workers in turn."""

import argparse
import sys
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.accept import report
from benchmarks.processors import rates, upkeep
from benchmarks.programs import ToolError
from benchmarks.running import print_facts

__all__ = ["run"]

Measured = TypeVar("Measured", rates.Rate, upkeep.Upkeep)


def run(arguments: argparse.Namespace) -> int:
    """Measure as the options say; the status is 0 when everything came about, 2 when there is nothing to measure."""
    console = report.tables()
    if arguments.supervisor:
        return _print(console, arguments, "shared by all", _upkeep)
    return _print(console, arguments, "one for each worker, others for the clients", _rates)


def _print(
    console: Console,
    arguments: argparse.Namespace,
    cpus: str,
    measure: Callable[[argparse.Namespace], tuple[Table, dict[int, list[rates.Rate]] | dict[int, list[upkeep.Upkeep]]]],
) -> int:
    print_facts(console, arguments, cpus)
    try:
        made, figures = measure(arguments)
    except (ToolError, OSError) as error:
        console.print(f"[red]{error}[/red]")
        return 1
    console.print(made)
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.encode(figures))
    return 0 if all(len(rounds) == arguments.rounds for rounds in figures.values()) else 1


def _upkeep(arguments: argparse.Namespace) -> tuple[Table, dict[int, list[upkeep.Upkeep]]]:
    found = _in_rounds(arguments, arguments.workers, lambda number: upkeep.measure(number, arguments.seconds))
    return upkeep.table(found), found


def _rates(arguments: argparse.Namespace) -> tuple[Table, dict[int, list[rates.Rate]]]:
    shares = rates.fitting(arguments.workers)
    if not shares:
        raise ToolError("too few processors for any of these numbers of workers")
    found = _in_rounds(arguments, shares, lambda number: rates.measure(number, shares[number], arguments.seconds))
    return rates.table(found, shares), found


def _in_rounds(
    arguments: argparse.Namespace, numbers: Iterable[int], measure: Callable[[int], Measured]
) -> dict[int, list[Measured]]:
    found: dict[int, list[Measured]] = {number: [] for number in numbers}
    for _ in range(arguments.rounds):
        for number, rounds in found.items():
            print(f"{number} workers", file=sys.stderr)
            try:
                rounds.append(measure(number))
            except (ToolError, OSError) as error:
                print(f"{number} workers: {error}", file=sys.stderr)
    if not any(found.values()):
        raise ToolError("no measurement came about")
    return {number: rounds for number, rounds in found.items() if rounds}
