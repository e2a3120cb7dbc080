"""``statscounter top``: one service, or several as a fleet, from their streams, here or elsewhere."""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from statsd_tcp.commands.arguments import positive, service_url
from statsd_tcp.commands.top.feed import Feed, Node
from statsd_tcp.commands.top.keys import Keys
from statsd_tcp.commands.top.view import HELP, SORTS, SOURCES, View, show
from statsd_tcp.commands.usage import UsageError

__all__ = ["add_arguments", "run"]

WELL, SILENT = 0, 1
"""The exit statuses: something was shown; no service has answered."""

_HERE = "http://127.0.0.1:9102"
_PATIENCE = 10.0
"""Seconds to wait for all services before the first is shown, where it is shown once."""

_ENTER, _ERASE, _ESCAPE = "\n", "\x7f\b", "\x1b"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--url", type=service_url, action="append", help=f"its pages; several make a fleet [default: {_HERE}]")
    add("--interval", type=positive, default=1.0, metavar="S", help="seconds from one picture to the next [default: 1]")
    add("--once", action="store_true", help="show one picture and end")
    add("--json", action="store_true", help="print the last moment of each service as JSON, a line each")
    parser.epilog = f"keys: {HELP}. exit status: 0 well, 1 no service has answered, 64 wrong command line"


def run(arguments: argparse.Namespace) -> int:
    """Show until ``q`` or Ctrl-C, and return the exit status."""
    urls = arguments.url or [_HERE]
    if len(set(urls)) < len(urls):
        raise UsageError("--url: one is there twice")
    nodes, changed = [Node(url) for url in urls], threading.Event()
    feeds = [Feed(node, changed.set) for node in nodes]
    for feed in feeds:
        feed.start()
    console = Console()
    try:
        if arguments.once or arguments.json or not console.is_terminal:
            _print(nodes, arguments, console, changed)
        else:
            _redraw(nodes, arguments.interval, console)
    except KeyboardInterrupt:
        pass
    finally:
        for feed in feeds:
            feed.end()
    return WELL if any(node.moments for node in nodes) else SILENT


def _print(nodes: list[Node], arguments: argparse.Namespace, console: Console, changed: threading.Event) -> None:
    """Print one picture below the other."""
    _await(nodes, changed)
    view = View(is_unicode=_is_unicode(console))
    while True:
        if arguments.json:
            for node in nodes:
                print(_as_json(node), flush=True)
        else:
            console.print(show(nodes, view))
        if arguments.once:
            return
        time.sleep(arguments.interval)
        if not arguments.json:
            console.print()


def _await(nodes: list[Node], changed: threading.Event, seconds: Callable[[], float] = time.monotonic) -> None:
    """Wait until every service has said how it does, or why not, but not for ever."""
    deadline = seconds() + _PATIENCE
    while any(not (node.moments and node.status) and node.error in ("", "no answer yet") for node in nodes):
        left = deadline - seconds()
        if left <= 0:
            return
        changed.wait(left)
        changed.clear()


def _as_json(node: Node) -> str:
    moment = node.moments[-1] if node.moments else None
    ready = node.status.get("ready")
    told = {"node": node.name, "url": node.url, "error": node.error, "ready": ready, "moment": moment}
    return msgspec.json.encode(told).decode()


class Screen:
    """What the keys have chosen; `press` takes them, one by one."""

    def __init__(self, *, is_unicode: bool) -> None:
        self.view = View(is_unicode=is_unicode)
        self.is_over = self.is_paused = self.is_helping = self.is_typing = False

    def press(self, key: str) -> None:
        """Do what a key says."""
        if self.is_typing:
            self._type(key)
        elif key == "q":
            self.is_over = True
        elif key == "p":
            self.is_paused = not self.is_paused
        elif key == "?":
            self.is_helping = not self.is_helping
        elif key == "s":
            self.view = self.view._replace(sort=SORTS[(SORTS.index(self.view.sort) + 1) % len(SORTS)])
        elif key == "w":
            self.view = self.view._replace(sources=SOURCES[(SOURCES.index(self.view.sources) + 1) % len(SOURCES)])
        elif key == "/":
            self.is_typing = True

    def foot(self) -> Text:
        """Return the last line."""
        if self.is_typing:
            return Text(f"/{self.view.part}_", style="reverse")
        parts = [f"by {self.view.sort}"]
        parts += [f"only *{self.view.part}*"] if self.view.part else []
        parts += ["paused"] if self.is_paused else []
        return Text("   ".join([*parts, HELP if self.is_helping else "? help"]), style="dim")

    def _type(self, key: str) -> None:
        part = self.view.part
        if key in (_ENTER, _ESCAPE):
            self.is_typing = False
            part = "" if key == _ESCAPE else part
        elif key in _ERASE:
            part = part[:-1]
        elif key.isprintable():
            part += key
        self.view = self.view._replace(part=part)


def _redraw(nodes: list[Node], interval: float, console: Console) -> None:
    """Redraw the terminal until ``q``."""
    screen = Screen(is_unicode=_is_unicode(console))
    picture: RenderableType = Text("")
    with Keys() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        while not screen.is_over:
            if not screen.is_paused:
                picture = show(nodes, screen.view)
            live.update(Group(picture, Text(""), screen.foot()), refresh=True)
            for key in keys.pressed(interval):
                screen.press(key)


def _is_unicode(console: Console) -> bool:
    return console.encoding.lower().startswith("utf")
