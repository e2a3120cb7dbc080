"""``statscounter compare``: which names and totals differ between this service and the server next to it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from statsd_tcp.commands.arguments import positive, service_url
from statsd_tcp.commands.compare.console import Console, ConsoleError
from statsd_tcp.commands.compare.etsy import Etsy
from statsd_tcp.commands.compare.exporter import Exporter, Restarted
from statsd_tcp.commands.compare.exposition import NotExposition
from statsd_tcp.commands.compare.here import Here, NoCommits
from statsd_tcp.commands.compare.measure import Other, measure
from statsd_tcp.commands.compare.reasons import ETSY, EXPORTER, Origin
from statsd_tcp.commands.compare.report import as_json, as_text
from statsd_tcp.commands.load.verify import VerifyError, page_reader
from statsd_tcp.commands.usage import UsageError

__all__ = ["add_arguments", "run"]

SAME, DIFFERENT, UNREADABLE = 0, 1, 2
"""The exit statuses: nothing differs; something does; one of them could not be read."""

_CONSOLE_PORT = 8126
_USUAL_PAGE = "http://127.0.0.1:9102"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    other = parser.add_mutually_exclusive_group(required=True)
    other.add_argument("--etsy", type=_address, metavar="HOST[:PORT]", help="the console of etsy's server [port: 8126]")
    other.add_argument(
        "--exporter", type=service_url, metavar="URL", help="statsd_exporter's page, as http://127.0.0.1:9102"
    )
    parser.add_argument("--http", type=service_url, metavar="URL", default=_USUAL_PAGE,
        help=f"the pages of this service [default: {_USUAL_PAGE}]")  # fmt: skip
    parser.add_argument("--seconds", type=positive, metavar="N", default=60.0,
        help="for how long; of etsy's server as many whole flushes as that takes [default: 60]")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.epilog = (
        "exit status: 0 all is the same, 1 something differs, 2 one could not be read, 64 wrong command line"
    )


def run(arguments: argparse.Namespace, clock: Callable[[], float] = time.monotonic) -> int:
    """Compare, print the result, and return the exit status; raises `UsageError`."""
    if arguments.exporter == arguments.http:
        raise UsageError("--http and --exporter name the same page; give the one of this service with --http")
    here = Here(_page(arguments.http, "--http"))
    if sys.stderr.isatty():
        print(f"Both servers are being read for {arguments.seconds:g} seconds, or a little more.", file=sys.stderr)
    try:
        with _other(arguments) as (other, origin, title):
            measured = measure(here, other, arguments.seconds, clock)
    except (ConsoleError, NoCommits, NotExposition, Restarted, VerifyError) as error:
        print(f"statscounter compare: {error}", file=sys.stderr)
        return UNREADABLE
    status = DIFFERENT if any(row.verdict.is_difference for row in measured.rows) else SAME
    titles = arguments.http, title
    if arguments.json:
        print(as_json(measured, origin, titles, status))
    else:
        print("\n".join(as_text(measured, origin, titles)))
    return status


@contextmanager
def _other(arguments: argparse.Namespace) -> Iterator[tuple[Other, Origin, str]]:
    if arguments.exporter:
        yield Exporter(_page(arguments.exporter, "--exporter")), EXPORTER, arguments.exporter
        return
    host, port = arguments.etsy
    with closing(Console(host, port)) as console:
        yield Etsy(console), ETSY, f"etsy's server, {host}:{port}"


def _page(url: str, option: str) -> Callable[[], str]:
    """Return a function that reads /metrics of a server."""
    read = page_reader(url)

    def page() -> str:
        try:
            return read("/metrics")
        except VerifyError as error:
            raise VerifyError(f"{option} {error}") from None

    return page


def _address(text: str) -> tuple[str, int]:
    """Read ``HOST``, ``HOST:PORT`` or ``[HOST]:PORT``."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(_CONSOLE_PORT)
    host = host.strip("[]")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, as 127.0.0.1:8126")
    return host, int(port)
