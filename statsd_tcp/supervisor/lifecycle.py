"""The life of a worker slot: in which stage it is, what can happen there, what is then done, and what comes next.

    stopped                 no worker is wanted, or not yet
    waiting                 a worker died young, or could not be made; the next one is started later
    starting                a worker is there, and does not accept yet
    ready                   it accepts
    replacing               it accepts, and a successor on the same sockets is starting
    draining                all of the slot's workers are to hand over what they have, and end

               start                  accepts                   replace
    stopped ------------> starting --------------> ready ---------------------> replacing
       ^                   |    ^                   |  ^                            |
       |      ends, unable |    | start             |  '---- successor accepts -----'
       |                   v    |                   |        or fails
       '--- hold, depart --- waiting <---- ends ----'

    replacing --ends--> starting, with the successor            starting, ready --depart--> stopped
    any stage --drain--> draining --emptied--> stopped

It is the part where a mistake costs clients. So nothing here does anything: `step` is a function of its arguments, and
`WorkerSlot` carries out what it says.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Action", "Event", "Stage", "Step", "step"]

Stage = Literal["stopped", "waiting", "starting", "ready", "replacing", "draining"]

Event = Literal[
    "start",
    "release",
    "adopt",
    "unable",
    "accepts",
    "ends",
    "successor accepts",
    "successor fails",
    "replace",
    "hold",
    "depart",
    "drain",
    "emptied",
]
"""``start``: it is time for a worker; ``hold``: it would be, and none may be started now; ``release``: it may again.
``adopt``: there is one from an earlier image. ``unable``: none could be made. ``accepts`` and ``ends`` are told of the
present worker. ``successor fails``: it has ended, or could not be made. ``depart``: the slot is given up, and clients
are served to their end. ``emptied``: the slot's last process has ended, or there was none."""

Action = Literal[
    "spawn",
    "spawn successor",
    "wait",
    "cancel",
    "announce",
    "take over",
    "promote",
    "succeeded",
    "failed",
    "retire",
    "drain",
]
"""``wait``: start after the delay of `Backoff`; ``cancel``: do not. ``announce``: say that the worker accepts. ``take
over``: the successor is the worker, and the one before it retires; ``promote``: there is none before it. ``succeeded``
and ``failed`` report the outcome of a replacement. ``retire``: stop accepting, and serve open connections to their
end."""


class Step(NamedTuple):
    """What comes of an event: the next stage, and what is to be done in it, in order."""

    stage: Stage
    actions: tuple[Action, ...] = ()


def _to(stage: Stage, *actions: Action) -> Step:
    return Step(stage, actions)


_LIFE: dict[Stage, dict[Event, Step]] = {
    "stopped": {
        "start": _to("starting", "spawn"),
        "release": _to("starting", "spawn"),
        "adopt": _to("ready"),
        "replace": _to("stopped", "succeeded"),
        "drain": _to("draining", "drain"),
    },
    "waiting": {
        "start": _to("starting", "spawn"),
        "replace": _to("waiting", "succeeded"),
        "hold": _to("stopped", "cancel"),
        "depart": _to("stopped", "cancel"),
        "drain": _to("draining", "cancel", "drain"),
    },
    "starting": {
        "unable": _to("waiting", "wait"),
        "accepts": _to("ready", "announce"),
        "ends": _to("waiting", "wait"),
        "replace": _to("starting", "succeeded"),
        "depart": _to("stopped", "retire"),
        "drain": _to("draining", "drain"),
    },
    "ready": {
        "ends": _to("waiting", "wait"),
        "replace": _to("replacing", "spawn successor"),
        "depart": _to("stopped", "retire"),
        "drain": _to("draining", "drain"),
    },
    "replacing": {
        "ends": _to("starting", "promote", "succeeded"),
        "successor accepts": _to("ready", "take over", "succeeded"),
        "successor fails": _to("ready", "failed"),
        "drain": _to("draining", "drain"),
    },
    "draining": {
        "replace": _to("draining", "succeeded"),
        "drain": _to("draining", "drain"),
        "emptied": _to("stopped"),
    },
}
"""A request to replace a worker that does not accept yet succeeds at once: the next worker is new anyway. An event that
is not in the table, such as the end of a worker that is leaving, changes nothing and needs nothing."""


def step(stage: Stage, event: Event) -> Step:
    """Return what comes of an event in a stage."""
    return _LIFE[stage].get(event, Step(stage))
