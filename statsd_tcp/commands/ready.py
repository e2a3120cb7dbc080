"""``statscounter ready``: whether a service accepts, for health checks of containers and for scripts."""

from __future__ import annotations

import argparse
import http.client
import urllib.request
from urllib.error import HTTPError

from statsd_tcp.commands.arguments import positive, service_url, why_not

__all__ = ["add_arguments", "run"]

READY, NOT_READY, SILENT = 0, 1, 2
"""The exit statuses: it accepts; it says that it does not; it does not answer."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    here = "http://127.0.0.1:9102"
    parser.add_argument("--url", type=service_url, default=here, help=f"its pages [default: {here}]")
    parser.add_argument("--timeout", type=positive, default=5.0, metavar="S", help="seconds to wait [default: 5]")
    parser.epilog = "exit status: 0 ready, 1 not ready, 2 no answer, 64 wrong command line"


def run(arguments: argparse.Namespace) -> int:
    """Ask `/readyz`, print what it says in one line, and return the exit status."""
    try:
        with urllib.request.urlopen(f"{arguments.url}/readyz", timeout=arguments.timeout):  # noqa: S310  (service_url)
            print("ready")
            return READY
    except HTTPError as error:
        with error:
            said = error.read(1000).decode("utf-8", "replace").strip()
        print(f"not ready: {said.partition(chr(10))[0] or error.code}")
        return NOT_READY
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer from {arguments.url}: {why_not(error)}")
        return SILENT
