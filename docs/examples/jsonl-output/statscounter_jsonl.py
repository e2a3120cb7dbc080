"""An output of statscounter: appends the counters of every flush to a file, as a line of JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from statsd_tcp.aggregate.flushes import FlushResult
from statsd_tcp.outputs.interfaces import IOutput


@implementer(IOutput)
class JsonLines:
    def __init__(self, reactor: Any, path: str) -> None:
        self.reactor, self.path = reactor, Path(path)

    def deliver(self, flush: FlushResult) -> Any:
        # A disk may be slow and the reactor must not wait. The flush is written when this Deferred fires.
        return deferToThreadPool(self.reactor, self.reactor.getThreadPool(), self.append, flush)

    def append(self, flush: FlushResult) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": flush.timestamp, "counters": dict(flush.counters)}) + "\n")

    def stop(self) -> None:
        pass


def make(reactor: Any, arguments: Mapping[str, str]) -> IOutput:
    if set(arguments) != {"path"}:
        raise ValueError("path= is needed, and nothing else")
    return JsonLines(reactor, arguments["path"])
