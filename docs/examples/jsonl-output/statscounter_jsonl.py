"""An output of statscounter that appends the counters of every slot to a file: --output jsonl:path=/tmp/counters.jsonl"""

import json
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from statsd_tcp.aggregate.slots import SlotResult
from statsd_tcp.outputs.interfaces import IOutput


@implementer(IOutput)
class JsonLines:
    def __init__(self, reactor: Any, path: str) -> None:
        self.reactor = reactor
        self.path = path

    def deliver(self, slot: SlotResult) -> Deferred[None]:
        line = json.dumps({"time": slot.timestamp, "seconds": slot.seconds, "counters": dict(slot.counters)})
        # A disk may be slow, and the reactor must not wait: when the Deferred fires the slot is written.
        return deferToThreadPool(self.reactor, self.reactor.getThreadPool(), self.append, line)

    def append(self, line: str) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def stop(self) -> None:
        pass


def make(reactor: Any, arguments: Mapping[str, str]) -> IOutput:
    if set(arguments) != {"path"}:
        raise ValueError("path= is needed, and nothing else")
    return JsonLines(reactor, arguments["path"])
