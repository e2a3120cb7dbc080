"""The generator processes of a run: started together, listened to, stopped, added up."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType

from statsd_tcp.commands.load.client import READY, generate
from statsd_tcp.commands.load.progress import Display
from statsd_tcp.commands.load.results import Progress, Result
from statsd_tcp.commands.load.workload import Share, Workload

__all__ = ["GeneratorError", "Generators"]

# From the last process's READY to the first connection, in seconds: time enough to read the message.
HEAD_START = 0.05


class GeneratorError(Exception):
    """A generator process ended without its result."""


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Have Ctrl-C wait, for processes that begin meanwhile for ever."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Generators:
    """The processes of one run, each with its share and a pipe."""

    def __init__(self, work: Workload, processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._children: dict[Pipe, BaseProcess] = {}
        self._standing: dict[Pipe, Progress] = {}
        self.result = Result()
        self.interrupted = False
        self._began = 0.0
        self._woken, self._wake = context.Pipe(duplex=False)
        # It lets signals through again when it has begun. Without it the first child would begin it.
        resource_tracker.ensure_running()
        for position in range(processes):
            ours, theirs = context.Pipe()
            child = context.Process(target=generate, args=(Share(work, position, processes), theirs), daemon=True)
            # The terminal sends Ctrl-C to all of us; they cannot ignore it before their imports.
            with _no_interrupt():
                child.start()
            # Ours alone: when either side is gone, the other one reads the end.
            theirs.close()
            self._children[ours] = child

    @property
    def pids(self) -> list[int]:
        """The process ids of those that still work."""
        return [child.pid for child in self._children.values() if child.pid is not None]

    def run(self, display: Display) -> Result:
        """Start them together and wait for all; raises GeneratorError if one dies.

        Ctrl-C asks them to begin nothing more; a second one is not held back, and none before they start.
        """
        # A shell without job control has those in the background ignore it.
        obeys = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if obeys:
            signal.signal(signal.SIGINT, self._interrupt)
        try:
            self._start()
            while self._children:
                self._listen(display)
            return self.result
        finally:
            if obeys:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            self._kill()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Take the signal at any moment, and leave what is to be done to the next look at the pipes."""
        if self.interrupted or not self._began:
            raise KeyboardInterrupt
        self.interrupted = True
        self._wake.send(None)

    def _start(self) -> None:
        for pipe in self._children:
            if self._receive(pipe) != READY:
                raise GeneratorError("a generator process spoke out of turn")
        self._began = start = time.monotonic() + HEAD_START
        for pipe in self._children:
            pipe.send(start)

    def _listen(self, display: Display) -> None:
        for pipe in wait([*self._children, self._woken], timeout=1.0):
            if pipe is self._woken:
                self._woken.recv()
                self._stop()
                continue
            if not isinstance(pipe, Pipe):
                continue
            message = self._receive(pipe)
            if isinstance(message, Progress):
                self._standing[pipe] = message
            elif isinstance(message, Result):
                self.result.add(message)
                self._children.pop(pipe).join()
                pipe.close()
        display.show(self._together(), time.monotonic() - self._began)

    def _receive(self, pipe: Pipe) -> object:
        try:
            message: object = pipe.recv()
        except (EOFError, ConnectionResetError):
            child = self._children[pipe]
            child.join()
            raise GeneratorError(f"a generator process ended with status {child.exitcode}") from None
        return message

    def _together(self) -> Progress:
        total = Progress()
        for progress in self._standing.values():
            total.add(progress)
        return total

    def _stop(self) -> None:
        for pipe in self._children:
            try:
                pipe.send("stop")
            except (BrokenPipeError, ConnectionResetError):
                # It has ended, and its result is still to be read.
                pass

    def _kill(self) -> None:
        for pipe, child in self._children.items():
            child.kill()
            child.join()
            pipe.close()
        self._children.clear()
        self._woken.close()
        self._wake.close()
