"""``statscounter doctor``: finds what limits this machine below a rate of connections, and what to do about it."""

from __future__ import annotations

import argparse
import os
import sys

from statsd_tcp.commands.doctor.as_json import results_json
from statsd_tcp.commands.doctor.audit import audit
from statsd_tcp.commands.doctor.change import apply, undo, write
from statsd_tcp.commands.doctor.options import DoctorOptions, add_arguments, from_arguments
from statsd_tcp.commands.doctor.render import console_for, print_results
from statsd_tcp.commands.doctor.service import NoService, Service, no_service, service_at, service_of
from statsd_tcp.doctor.examination import UNCHECKED, examine, status

__all__ = ["add_arguments", "run"]


def run(arguments: argparse.Namespace) -> int:
    """Run the action of the command line; return the exit status. Raise `UsageError`."""
    options = from_arguments(arguments)
    if sys.platform != "linux":
        print("statscounter doctor: runs on Linux only: it reads /proc and /sys", file=sys.stderr)
        return UNCHECKED
    try:
        service = _service(options)
    except NoService as error:
        print(f"statscounter doctor: {error}", file=sys.stderr)
        return UNCHECKED
    try:
        worst = _ACTIONS[options.action](options, service)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has closed the pipe. Python would complain at the end about what is still buffered.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNCHECKED
    return worst


def check(options: DoctorOptions, service: Service) -> int:
    """Judge the machine, and print it."""
    goal, facts = service.goal(options.rate, options.stall, options.workers), service.facts()
    results = examine(facts, goal)
    worst = status(results)
    kernel = facts.sysctl("kernel.osrelease")
    if options.json:
        print(results_json(results, goal, kernel, worst))
    else:
        print_results(console_for(sys.stdout), results, goal, service.title, kernel, worst, brief=options.brief)
    return worst


def _service(options: DoctorOptions) -> Service:
    if options.status_url:
        return service_at(options.status_url)
    return service_of(options.pid) if options.pid else no_service()


_ACTIONS = {"check": check, "audit": audit, "write": write, "apply": apply, "undo": undo}
