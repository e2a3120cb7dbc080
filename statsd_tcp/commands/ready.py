"""``statscounter ready``: whether a service accepts, for health checks of containers and for scripts."""

from __future__ import annotations

import argparse
import http.client
from urllib.parse import urlsplit

from statsd_tcp.commands.usage import UsageError

__all__ = ["add_arguments", "run"]

READY, NOT_READY, SILENT = 0, 1, 2
"""The exit statuses: it accepts; it says that it does not; it does not answer."""

_OK = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--url", default="http://127.0.0.1:9102", help="its pages [default: http://127.0.0.1:9102]")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="S", help="seconds to wait [default: 5]")
    parser.epilog = "exit status: 0 ready, 1 not ready, 2 no answer, 64 wrong command line"


def run(arguments: argparse.Namespace) -> int:
    """Ask `/readyz`, print what it says in one line, and return the exit status. Raise `UsageError`."""
    host, port = _place(arguments.url)
    if not arguments.timeout > 0:
        raise UsageError(f"--timeout {arguments.timeout:g}: it is above 0")
    connection = http.client.HTTPConnection(host, port, timeout=arguments.timeout)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        said = answer.read(1000).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer from {arguments.url}: {str(error) or type(error).__name__}")
        return SILENT
    finally:
        connection.close()
    if answer.status == _OK:
        print("ready")
        return READY
    print(f"not ready: {said.partition(chr(10))[0] or answer.status}")
    return NOT_READY


def _place(url: str) -> tuple[str, int]:
    """Return the host and the port of the pages."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"--url {url}: {error}") from None
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
        raise UsageError(f"--url {url}: it is of the form http://HOST:PORT")
    return parts.hostname, port or http.client.HTTP_PORT
