"""The console command ``statscounter``: finds the subcommand, reads its options, gives its exit status.

A subcommand is a module with two functions, named in :data:`COMMANDS` and imported when it is asked for::

    add_arguments(parser: argparse.ArgumentParser) -> None
    run(arguments: argparse.Namespace) -> int      # the exit status; raises UsageError

One whose options are not ours to read has only a ``run``, which gets them as they came.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple, NoReturn, Protocol, cast

from statsd_tcp import __version__
from statsd_tcp.commands.usage import EX_INTERRUPTED, EX_USAGE, UsageError

__all__ = ["COMMANDS", "EX_BROKEN_PIPE", "Command", "main"]

EX_BROKEN_PIPE = 141
"""What shells say of a program that SIGPIPE has ended."""


class Command(NamedTuple):
    """One subcommand: what it does in a line, the module that does it, and whether that reads the options itself."""

    summary: str
    module: str
    reads_options: bool = False


COMMANDS: dict[str, Command] = {
    "check": Command("check options and the files that they name", "statsd_tcp.commands.check", reads_options=True),
    "compare": Command("compare with an old server that receives the same lines", "statsd_tcp.commands.compare.run"),
    "doctor": Command("find what keeps this machine from 10,000 connections/s", "statsd_tcp.commands.doctor.run"),
    "files": Command("write rules and alerts for Prometheus, and a dashboard for Grafana", "statsd_tcp.commands.files"),
    "load": Command("open many short connections and verify the counts", "statsd_tcp.commands.load.run"),
    "ready": Command("ask a service whether it accepts, for health checks", "statsd_tcp.commands.ready"),
    "serve": Command("run the service in the foreground", "statsd_tcp.commands.serve", reads_options=True),
    "store": Command("show, check, export or back up the totals of a service", "statsd_tcp.commands.store.run"),
    "top": Command("show what services do just now, in a terminal", "statsd_tcp.commands.top.run"),
    "who": Command("show where a service's connections come from", "statsd_tcp.commands.who"),
}


_FIRST = """the shortest way to see it work, each in a terminal of its own:
  statscounter serve                                  then look at http://127.0.0.1:9102/
  statscounter load --verify http://127.0.0.1:9102    10,000 connections, and the verdict
  statscounter top                                    the same as the page, in a terminal"""


class _Module(Protocol):
    """What a subcommand's module offers."""

    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Any], int]


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line and whose exit status is sysexits' EX_USAGE."""

    def error(self, message: str) -> NoReturn:
        """End with one line on standard error; argparse's own words name the option."""
        line = message.removeprefix("argument ")
        self.exit(EX_USAGE, f"{self.prog}: {line} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (without the program's name) and return the exit status.

    64 is a wrong command line, for every subcommand; 130 says that it was interrupted, and 141 that the output is no
    longer read, as with ``| head``. The others' meanings are the subcommand's.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        status = _status(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer goes nowhere: the interpreter writes it at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EX_BROKEN_PIPE
    except KeyboardInterrupt:
        return EX_INTERRUPTED
    return status


def _status(arguments: list[str]) -> int:
    try:
        if arguments and arguments[0] in COMMANDS:
            return _run(arguments[0], arguments[1:])
        _overview().parse_args(arguments)
    except SystemExit as end:  # argparse ends this way: -h, --version and its complaints
        if isinstance(end.code, str):  # and the service, when it cannot start
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    return EX_USAGE


def _overview() -> argparse.ArgumentParser:
    table = "\n".join(f"  {name:10}{command.summary}" for name, command in COMMANDS.items())
    parser = _Parser(
        prog="statscounter",
        description="The stats server for short TCP connections, and tools around it.",
        epilog=f"commands:\n{table}\n\n{_FIRST}\n\nstatscounter COMMAND --help explains one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"statscounter {__version__}")
    parser.add_argument("command", choices=list(COMMANDS), metavar="COMMAND", help="one of those below")
    return parser


def _run(name: str, arguments: list[str]) -> int:
    command = COMMANDS[name]
    module = cast("_Module", import_module(command.module))
    if command.reads_options:
        return module.run(arguments)
    parser = _Parser(prog=f"statscounter {name}", description=f"{command.summary[0].upper()}{command.summary[1:]}.")
    module.add_arguments(parser)
    parsed = parser.parse_args(arguments)
    try:
        return module.run(parsed)
    except UsageError as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
