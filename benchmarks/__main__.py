"""All benchmarks: ``python -m benchmarks COMMAND [options]``. ``--help`` lists the commands, each of which has one too.

A command is a module with two functions, named in `COMMANDS` and imported when it is asked for::

    add_arguments(parser: argparse.ArgumentParser) -> None
    run(arguments: argparse.Namespace) -> int      # the exit status: 0 when every measurement came about

``arguments`` has two more attributes: ``command``, what was typed, and ``namespace``, the words that give a command a
network of its own, empty where that is not allowed or not wanted.
"""

import argparse
import shlex
import subprocess
import sys
from importlib import import_module
from typing import Literal, NamedTuple

from benchmarks.network import bring_up_loopback, private_network

INSIDE = "--inside"
"""The first word of a command that was started again in a network of its own."""


class Command(NamedTuple):
    """What a command tells, its module, and what gets a network of its own: each measurement, or the whole command."""

    summary: str
    module: str
    network: Literal["each", "whole", ""]


COMMANDS = {
    "compare": Command("this service beside all other servers: connections, then lines", "compare", "each"),
    "accept": Command("the part about connections, with more options", "accept.comparison", "each"),
    "lines": Command("the part about lines: connections that stay, and datagrams", "lines.comparison", "each"),
    "latency": Command("what clients wait while the service is scraped, flushed and reloaded", "latency", "whole"),
    "connections": Command("cost by workers, open connections and series, and in the long run", "connections", "whole"),
    "scaling": Command("what a series costs the supervisor, or with --workers what a worker does", "scaling", "whole"),
    "soak": Command("whether the store stays as it is while names come and expire", "soak", ""),
    "placement": Command("when --pin and --steer cpu pay", "placement", "whole"),
    "hostile": Command("memory and waits while clients bring everything to its bound", "hostile", "whole"),
    "flood": Command("what others wait while one source connects too often, with and without limits", "flood", "whole"),
    "tls": Command("handshakes beside nginx and HAProxy, and lines over TLS connections", "tls.comparison", "whole"),
    "guard": Command("instructions of the hot path beside a recorded baseline", "guard.check", ""),
    "tally": Command("what a line costs in the tally, without sockets", "micro.tally", ""),
    "client": Command("what a call costs a program that counts, by client", "micro.calls", ""),
    "pooling": Command(
        "the same numbers as a connection per line, by this project's client, and by UDP", "pooling.comparison", "each"
    ),
    "who": Command("what counting where connections come from costs, in turns with not doing it", "micro.who", "whole"),
    "crafted": Command("what values and texts cost that were chosen to be dear", "micro.crafted", ""),
    "limits": Command("what a check of the limits of a source costs, without sockets", "micro.limits", ""),
    "scrape": Command("what a scrape of many series costs, without sockets", "micro.scrape", ""),
    "remote": Command(
        "what a slot of remote write costs, with its thread, its file and a receiver", "micro.remote", ""
    ),
    "layouts": Command("what a scrape costs after series came or went, without sockets", "micro.layouts", ""),
}


def overview() -> argparse.ArgumentParser:
    """The parser of a command line without a command."""
    table = "\n".join(f"  {name:11}{command.summary}" for name, command in COMMANDS.items())
    options = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Experiments: they take minutes, want the machine for themselves, and print tables.",
        epilog=f"commands:\n{table}\n\npython -m benchmarks COMMAND --help explains one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    return options


def run(words: list[str], *, inside: bool) -> int:
    """Run a command, in a network of its own if that is for the whole of it."""
    command = COMMANDS[words[0]]
    module = import_module(f"benchmarks.{command.module}")
    options = argparse.ArgumentParser(
        prog=f"python -m benchmarks {words[0]}", description=f"{command.summary[0].upper()}{command.summary[1:]}."
    )
    module.add_arguments(options)
    if command.network:
        options.add_argument("--shared-network", action="store_true", help="use the machine's own loopback")
    arguments = options.parse_args(words[1:])
    arguments.command = shlex.join(["python", "-m", "benchmarks", *words])
    arguments.namespace = () if not command.network or arguments.shared_network else private_network()
    if inside:
        bring_up_loopback()
    elif command.network == "whole" and arguments.namespace:
        again = [*arguments.namespace, sys.executable, "-m", "benchmarks", INSIDE, *words]
        return subprocess.run(again, check=False).returncode
    status: int = module.run(arguments)
    return status


def main(words: list[str]) -> int:
    """Run the command line, without the program's name, and give the exit status."""
    inside = words[:1] == [INSIDE]
    words = words[inside:]
    if not words or words[0] not in COMMANDS:
        overview().parse_args(words)
    return run(words, inside=inside)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
