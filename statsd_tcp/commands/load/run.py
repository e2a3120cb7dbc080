"""``statscounter load``: reads the server's counts, lets the generators work, compares, prints."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from statsd_tcp.commands.load.client import raise_descriptor_limit
from statsd_tcp.commands.load.generators import GeneratorError, Generators
from statsd_tcp.commands.load.options import LoadOptions, add_arguments, from_arguments
from statsd_tcp.commands.load.progress import progress_on
from statsd_tcp.commands.load.report import Report
from statsd_tcp.commands.load.results import Result
from statsd_tcp.commands.load.verify import Finding, Patience, Verdict, Verifier, VerifyError, page_reader
from statsd_tcp.commands.usage import EX_INTERRUPTED

__all__ = ["add_arguments", "run"]

# Lines become visible with a commit, about once a second; counts that stood still for longer are at rest.
QUIET_LINES = 2.5
# Connections are visible at once.
QUIET_CONNECTIONS = 0.5


def run(arguments: argparse.Namespace) -> int:
    """Run ``statscounter load`` and return its exit status; raises UsageError for options that do not fit.

    0: every connection completed, or with ``--verify`` the counts are exact. 1: not. 2: could not tell,
    because the generator or the reading of the counts failed. 130: interrupted.
    """
    options = from_arguments(arguments, raise_descriptor_limit())
    verifier = _verifier(options)
    try:
        if verifier is not None:
            verifier.begin(options.workload.address.host, sorted(options.workload.ports))
        generators = Generators(options.workload, options.processes)
        with progress_on(options.workload) as display:
            result = generators.run(display)
    except VerifyError as error:
        return _give_up(f"--verify: {error}")
    except GeneratorError as error:
        return _give_up(str(error))
    status = _report(options, result, verifier)
    return EX_INTERRUPTED if generators.interrupted else status


def _verifier(options: LoadOptions) -> Verifier | None:
    if options.verify is None:
        return None
    with_lines = any(shape.lines for shape in options.workload.shapes.shapes)
    quiet = QUIET_LINES if with_lines else QUIET_CONNECTIONS
    # A deadline shorter than the quiet time could only ever say that it does not know.
    patience = Patience(quiet, max(options.verify_timeout, 2 * quiet))
    return Verifier(page_reader(options.verify), patience, with_lines=with_lines)


def _report(options: LoadOptions, result: Result, verifier: Verifier | None) -> int:
    findings: list[Finding] = []
    trouble = []
    if verifier is not None:
        try:
            findings = verifier.compare(result)
        except VerifyError as error:
            trouble.append(f"--verify: {error}")
    report = Report(options, result, findings, trouble)
    if options.json:
        print(report.as_json())
    else:
        report.print_table(Console())
    return report.status


def _give_up(text: str) -> int:
    print(f"statscounter load: {text}", file=sys.stderr)
    return Verdict.UNKNOWN.status
