"""An output of statscounter: appends the counters of every slot to a file, as a line of JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from statsd_tcp.aggregate.slots import SlotResult
from statsd_tcp.outputs.interfaces import IOutput


@implementer(IOutput)
class JsonLines:
    def __init__(self, reactor: Any, path: str) -> None:
        self.reactor, self.path = reactor, Path(path)

    def deliver(self, slot: SlotResult) -> Any:
        # A disk may be slow and the reactor must not wait. The slot is written when this Deferred fires.
        return deferToThreadPool(self.reactor, self.reactor.getThreadPool(), self.append, slot)

    def append(self, slot: SlotResult) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": slot.timestamp, "counters": dict(slot.counters)}) + "\n")

    def stop(self) -> None:
        pass


def make(reactor: Any, arguments: Mapping[str, str]) -> IOutput:
    if set(arguments) != {"path"}:
        raise ValueError("path= is needed, and nothing else")
    return JsonLines(reactor, arguments["path"])
