"""The service: put together, started, and brought to its end in order.

Here and only here the parts meet. Nothing happens before the service is started.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from statsd_tcp.aggregate.known import IdleRules
from statsd_tcp.aggregate.timers import TimerRules
from statsd_tcp.commit.committer import Committer
from statsd_tcp.commit.recovery import Recovery
from statsd_tcp.console.activity import Activity
from statsd_tcp.console.answers import Answers
from statsd_tcp.console.desk import Desk, StoredSlot
from statsd_tcp.console.session import Console
from statsd_tcp.ledger.folder import Shelf
from statsd_tcp.mapping.mapper import Mapper
from statsd_tcp.outputs.console import Console as TerminalOutput
from statsd_tcp.outputs.delivery import Delivery
from statsd_tcp.outputs.graphite import Graphite
from statsd_tcp.outputs.graphite_paths import SPELLING
from statsd_tcp.outputs.interfaces import IOutput
from statsd_tcp.outputs.plugins import make_plugin
from statsd_tcp.reload.command_line import command_again
from statsd_tcp.reload.reload import Renewal
from statsd_tcp.settings.state_folder import LEDGERS, STORE
from statsd_tcp.settings.table import Settings
from statsd_tcp.sockets.activation import kept_name
from statsd_tcp.startup import sign_lock
from statsd_tcp.status.greeting import announce
from statsd_tcp.status.kernel_watch import KernelWatch
from statsd_tcp.status.report import Report
from statsd_tcp.status.systemd import Notifier
from statsd_tcp.store.database import Store
from statsd_tcp.store.slots import SlotRules
from statsd_tcp.supervisor.manifest import Manifest
from statsd_tcp.supervisor.plan import Plan
from statsd_tcp.supervisor.supervisor import Supervisor
from statsd_tcp.web.service import WebService
from statsd_tcp.web.site import make_site

__all__ = ["SAME_SIGNAL", "OrderedService", "SecondSignal", "assemble", "give_up", "make_outputs", "slot_rules"]

_log = Logger()


SAME_SIGNAL = 0.25
"""A signal that follows another within so many seconds is the same one: a process group's and one of its members'
own arrive both."""


def make_outputs(reactor: Any, settings: Settings) -> dict[str, IOutput]:
    """Make the outputs, by their names; raises `plugins.PluginError`."""
    outputs: dict[str, IOutput] = {target.label: Graphite(reactor, target) for target in settings.graphite}
    for spec in settings.output:
        outputs[spec.label] = make_plugin(reactor, spec)
    if settings.console is not None and sys.__stdout__ is not None:
        # Not sys.stdout, which is the log under twistd.
        outputs["console"] = TerminalOutput(reactor, sys.__stdout__, settings.console)
    return outputs


def slot_rules(settings: Settings, outputs: dict[str, IOutput]) -> SlotRules:
    """Say how slots are made."""
    return SlotRules(
        seconds=settings.flush_interval,
        timers=TimerRules(percentiles=settings.percentiles, histograms=settings.histogram, only=settings.timer_fields),
        idle=IdleRules(delete=settings.delete_idle, gauge_slots=settings.gauges_ttl, ttl=settings.series_ttl),
        outputs=tuple(outputs),
        queue=settings.output_queue,
        max_series=settings.max_series,
        spelling=SPELLING if settings.graphite else None,
    )


def _store_opener(plan: Plan, rules: SlotRules) -> Callable[[], Store]:
    """Give a function that opens the store, for the thread that it is to belong to."""

    def open_store() -> Store:
        settings = plan.settings
        mapper = None if settings.mapping is None else Mapper(settings.mapping)
        ttl, most = settings.series_ttl, settings.max_series
        return Store(plan.state_dir / STORE, series_ttl=ttl, max_series=most, slots=rules, mapper=mapper)

    return open_store


def assemble(
    reactor: Any, plan: Plan, lock: int, outputs: dict[str, IOutput], manifest: Manifest | None = None
) -> IService:
    """Put the service together. Nothing happens before it is started."""
    settings = plan.settings
    rules = slot_rules(settings, outputs)
    open_store = _store_opener(plan, rules)
    pool = ThreadPool(minthreads=0, maxthreads=1, name="committer")
    shelf = Shelf(plan.state_dir / LEDGERS)

    def make_committer(committed: Any) -> Committer:
        return Committer(reactor, pool, open_store, shelf, committed, Recovery(reactor))

    supervisor = Supervisor(reactor, plan, shelf, make_committer, lambda why: give_up(reactor, why), manifest)
    again = command_again(sys.orig_argv, sys.argv, Path.cwd(), manifest.pid_file if manifest else "")
    notifier = Notifier(os.environ, os.getpid())
    renewal = Renewal(reactor, supervisor, lock, again, notifier, manifest.reloads if manifest else 0)
    deliveries = [Delivery(reactor, name, output, supervisor.committer) for name, output in outputs.items()]
    kernel = KernelWatch(reactor, plan)
    report = Report(reactor, supervisor, deliveries, kernel)

    report.reloads = renewal.request
    report.reload_refused = lambda: renewal.successful is False

    def every_second() -> None:
        renewal.look()
        report.sample()
        kernel.look()
        if supervisor.healthy()[0]:
            notifier.alive()

    def ready() -> None:
        for listener in plan.listeners:
            for worker, descriptors in enumerate(listener.descriptors()):
                notifier.keep(kept_name(listener.label, worker), descriptors)
        notifier.ready(f"{plan.workers} workers accept")

    def announced() -> None:
        announce(plan)
        kernel.announce()
        ready()

    supervisor.succession.finished = ready
    supervisor.every_second = every_second

    def install_signals() -> None:
        SecondSignal(reactor, supervisor.kill).install()
        renewal.install()

    service = OrderedService(reactor, pool, install_signals, lambda: sign_lock(lock))
    reactor.addSystemEventTrigger("before", "shutdown", notifier.stopping)
    for delivery in deliveries:
        delivery.setServiceParent(service)
        supervisor.committer.after_commit.append(delivery.look)
    supervisor.setServiceParent(service)
    if plan.http is not None:
        WebService(reactor, plan.http, make_site(reactor, report, settings.counter_suffix)).setServiceParent(service)
    if plan.admin is not None:
        activity = Activity(reactor)
        supervisor.committer.after_commit.append(activity.look)
        slot = StoredSlot(supervisor.committer, rules.timers)
        console = Console(reactor, Answers(slot, Desk(supervisor, report, activity, settings)))
        WebService(reactor, plan.admin, console).setServiceParent(service)
    supervisor.announce = announced
    return service


class SecondSignal:
    """Lets the first TERM or INT stop the service in good order, and the second end it at once.

    ``kill`` is called before the process ends.
    """

    def __init__(self, reactor: Any, kill: Callable[[], None]) -> None:
        self._reactor = reactor
        self._kill = kill
        self._before: dict[int, Any] = {}
        self._first: float | None = None

    def install(self) -> None:
        """Put ourselves before the reactor's own handlers, which must be there."""
        for number in (signal.SIGTERM, signal.SIGINT):
            # Whoever started us in the background of a shell has INT ignored, and means it.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = self._reactor.seconds()
        if self._first is None:
            self._first = now
            if callable(self._before[number]):
                self._before[number](number, frame)
        elif now - self._first > SAME_SIGNAL:
            self._kill()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


class OrderedService(MultiService):
    """The whole service. Its parts stop one after the other, so that the pages answer until the counting is done."""

    def __init__(
        self, reactor: Any, pool: ThreadPool, install_signals: Callable[[], None], started: Callable[[], None]
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._pool = pool
        self._install_signals = install_signals
        self._started = started

    def startService(self) -> None:
        """Start everything, in the process that stays."""
        self._started()
        self._pool.start()
        self._reactor.callWhenRunning(self._install_signals)
        super().startService()

    async def _stop_parts(self) -> None:
        for part in self.services:
            await maybeDeferred(part.stopService)
        self._pool.stop()

    def stopService(self) -> Deferred[None]:
        """Stop the parts in the order in which they were added."""
        self.running = 0
        return Deferred.fromCoroutine(self._stop_parts())


def give_up(reactor: Any, why: str) -> None:
    """Stop the service, and have the process end with status 1."""
    _log.critical("statscounter stops: {why}", why=why)
    # twistd has put a log in the place of sys.stderr.
    print(f"statscounter: {why}", file=sys.__stderr__)
    # Neither a service nor the reactor can choose twistd's exit status. What runs last can; the pid file is gone then.
    atexit.register(os._exit, 1)
    if reactor.running:
        reactor.stop()
    else:
        reactor.callWhenRunning(reactor.stop)
