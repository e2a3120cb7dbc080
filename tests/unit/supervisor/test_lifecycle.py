"""The table of a worker slot's life: stories that lead through it, and what holds in every cell."""

from __future__ import annotations

from itertools import product
from typing import cast, get_args

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.supervisor.lifecycle import Action, Event, Stage, step

STAGES: tuple[Stage, ...] = get_args(Stage)
EVENTS: tuple[Event, ...] = get_args(Event)

READY = "start, accepts"
"""How a slot comes to have a worker that accepts."""

STORIES = (
    # Events                                      Stage at the end, and the actions of all events but the first ones
    ("start, accepts", "starting > ready", "spawn, announce"),
    ("start, ends, start", "starting > waiting > starting", "spawn, wait, spawn"),
    ("start, unable, start", "starting > waiting > starting", "spawn, wait, spawn"),
    (f"{READY}, ends, start, accepts", "starting > ready > waiting > starting > ready",
     "spawn, announce, wait, spawn, announce"),
    # Held: what dies stays away until it is released.
    (f"{READY}, hold, release", "starting > ready > ready > ready", "spawn, announce"),
    (f"{READY}, hold, ends, hold, release", "starting > ready > ready > waiting > stopped > starting",
     "spawn, announce, wait, cancel, spawn"),
    ("start, hold, accepts", "starting > starting > ready", "spawn, announce"),
    # Replaced.
    (f"{READY}, replace, successor accepts", "starting > ready > replacing > ready",
     "spawn, announce, spawn successor, take over, succeeded"),
    (f"{READY}, replace, successor fails", "starting > ready > replacing > ready",
     "spawn, announce, spawn successor, failed"),
    (f"{READY}, replace, ends, accepts", "starting > ready > replacing > starting > ready",
     "spawn, announce, spawn successor, promote, succeeded, announce"),
    ("replace", "stopped", "succeeded"),
    ("start, replace", "starting > starting", "spawn, succeeded"),
    ("start, ends, replace", "starting > waiting > waiting", "spawn, wait, succeeded"),
    # Adopted from an earlier image, and given up where the new one has no slot for it.
    ("adopt, replace, successor accepts", "ready > replacing > ready", "spawn successor, take over, succeeded"),
    ("adopt, depart", "ready > stopped", "retire"),
    ("start, depart", "starting > stopped", "spawn, retire"),
    ("adopt, ends, depart", "ready > waiting > stopped", "wait, cancel"),
    # Stopped.
    ("drain, emptied", "draining > stopped", "drain"),
    (f"{READY}, drain, ends, emptied", "starting > ready > draining > draining > stopped", "spawn, announce, drain"),
    ("start, drain, accepts, ends, emptied", "starting > draining > draining > draining > stopped", "spawn, drain"),
    ("start, ends, drain, emptied", "starting > waiting > draining > stopped", "spawn, wait, cancel, drain"),
    ("start, drain, drain", "starting > draining > draining", "spawn, drain, drain"),
    (f"{READY}, replace, drain, successor accepts, successor fails, emptied",
     "starting > ready > replacing > draining > draining > draining > stopped",
     "spawn, announce, spawn successor, drain"),
    (f"{READY}, drain, replace", "starting > ready > draining > draining", "spawn, announce, drain, succeeded"),
)  # fmt: skip


class StoryTests(SynchronousTestCase):
    """Events, one after the other."""

    def test_stories(self) -> None:
        """Every story goes through the stages that it says, and has done what it says."""
        for events, stages, actions in STORIES:
            stage: Stage = "stopped"
            passed: list[str] = []
            done: list[str] = []
            for event in events.split(", "):
                stage, more = step(stage, cast(Event, event))
                passed.append(stage)
                done.extend(more)
            self.assertEqual((stages, actions), (" > ".join(passed), ", ".join(done)), events)

    def test_all_are_told(self) -> None:
        """There is a story for each cell that is not empty, and for each action."""
        told: set[tuple[Stage, str]] = set()
        done: set[str] = set()
        for events, _, actions in STORIES:
            stage: Stage = "stopped"
            done.update(actions.split(", "))
            for event in events.split(", "):
                told.add((stage, event))
                stage = step(stage, cast(Event, event)).stage
        cells = {(stage, event) for stage, event in product(STAGES, EVENTS) if step(stage, event) != (stage, ())}
        self.assertEqual(set(), cells - told - {("stopped", "release")})
        self.assertEqual(set(get_args(Action)), done)


class CellTests(SynchronousTestCase):
    """What holds in every cell of the table."""

    def test_drain(self) -> None:
        """From everywhere a slot comes to drain, and out of that only when it is empty."""
        for stage, event in product(STAGES, EVENTS):
            found = step(stage, event)
            if event == "drain":
                self.assertEqual(("draining", "drain"), (found.stage, found.actions[-1]))
            elif stage == "draining":
                self.assertEqual("stopped" if event == "emptied" else "draining", found.stage)

    def test_the_timer(self) -> None:
        """A start is to come exactly while the slot waits: whatever leads out of that but the start cancels it."""
        for stage, event in product(STAGES, EVENTS):
            found = step(stage, event)
            self.assertEqual(found.stage == "waiting" != stage, "wait" in found.actions, (stage, event))
            leaves = stage == "waiting" != found.stage and event != "start"
            self.assertEqual(leaves, "cancel" in found.actions, (stage, event))

    def test_one_answer(self) -> None:
        """Who asks to replace is answered once, at once or when the slot is done with it, unless all ends."""
        for stage, event in product(STAGES, EVENTS):
            found = step(stage, event)
            answers = [one for one in found.actions if one in ("succeeded", "failed")]
            asks = event == "replace" and stage not in ("ready", "replacing")
            ends = stage == "replacing" != found.stage and event != "drain"
            self.assertEqual(asks + ends, len(answers), (stage, event))

    def test_a_worker_is_there(self) -> None:
        """A slot begins to start, or to replace, with a new process, and with none else."""
        for stage, event in product(STAGES, EVENTS):
            found = step(stage, event)
            begins = found.stage != stage and found.stage in ("starting", "replacing")
            new = [one for one in found.actions if one in ("spawn", "spawn successor", "promote")]
            self.assertEqual(begins, len(new) == 1, (stage, event))
