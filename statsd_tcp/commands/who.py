"""``statscounter who``: where the connections of a service come from, as it tells at ``/api/v1/who``."""

from __future__ import annotations

import argparse
import http.client
import sys
import urllib.request
from urllib.error import HTTPError
from urllib.parse import urlencode

import msgspec

from statsd_tcp.commands.arguments import count, positive, service_url, why_not
from statsd_tcp.status.who_table import BY, Answer, as_text, table

__all__ = ["add_arguments", "run"]

SHOWN, REFUSED, SILENT = 0, 1, 2
"""The exit statuses: sources were shown; the service does not tell; it does not answer."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    here = "http://127.0.0.1:9102"
    add = parser.add_argument
    add("--url", type=service_url, default=here, help=f"its pages [default: {here}]")
    add("--top", type=count, default=20, metavar="N", help="how many sources, at most 1000 [default: 20]")
    add("--by", choices=BY, default=BY[0], help="the number to rank them by, of the last minute [default: connections]")
    add("--listener", metavar="LABEL", help="only those of this listener [default: all]")
    add("--json", action="store_true", help="print what the service says, as JSON")
    add("--timeout", type=positive, default=10.0, metavar="S", help="seconds to wait [default: 10]")
    parser.epilog = "exit status: 0 shown, 1 the service does not tell, 2 no answer, 64 wrong command line"


def run(arguments: argparse.Namespace) -> int:
    """Ask, print, and return the exit status."""
    query = {"top": arguments.top, "by": arguments.by}
    if arguments.listener is not None:
        query["listener"] = arguments.listener
    url = f"{arguments.url}/api/v1/who?{urlencode(query)}"
    try:
        with urllib.request.urlopen(url, timeout=arguments.timeout) as found:  # noqa: S310  (service_url)
            body = found.read()
        answer = msgspec.json.decode(body, type=Answer)
    except HTTPError as error:
        with error:
            said = error.read(1000).decode("utf-8", "replace").strip().partition("\n")[0]
        print(f"statscounter who: {arguments.url} answers {error.code}: {said or error.reason}", file=sys.stderr)
        return REFUSED
    except (OSError, http.client.HTTPException) as error:
        print(f"statscounter who: no answer from {arguments.url}: {why_not(error)}", file=sys.stderr)
        return SILENT
    except msgspec.MsgspecError as error:
        print(f"statscounter who: {arguments.url} answers something else: {error}", file=sys.stderr)
        return REFUSED
    print(body.decode().rstrip() if arguments.json else "\n".join(_text(answer)))
    return SHOWN


def _text(answer: Answer) -> list[str]:
    spreads = [f"{one.listener} {one.sources:,}" for one in answer.listeners if one.sources]
    head = f"{answer.node}: sources in the last minute: {', '.join(spreads) or 'none'}"
    return [head, *(as_text(table(answer.sources)) if answer.sources else [])]
