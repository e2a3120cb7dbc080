"""The service: put together, started, and brought to its end in order.

Here and only here the parts meet. Nothing happens before the service is started. What not every start needs is imported
where it is needed: imports are most of what a start costs.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from secrets import token_hex
from threading import Thread
from types import FrameType
from typing import TYPE_CHECKING, Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import ILogObserver, Logger
from twisted.python.threadpool import ThreadPool

from statsd_tcp import native
from statsd_tcp.aggregate.amounts import Amount
from statsd_tcp.aggregate.examples import Example
from statsd_tcp.aggregate.known_series import IdleRules
from statsd_tcp.aggregate.timers import TimerRules
from statsd_tcp.children import Children
from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.commit.committer import Committer
from statsd_tcp.commit.recovery import Recovery
from statsd_tcp.deadline import begin_deadline
from statsd_tcp.flush.rules import FlushRules
from statsd_tcp.ingest.trust import Trust
from statsd_tcp.kernel.host_names import own_names
from statsd_tcp.ledger.cells import LIMIT_ACTIONS
from statsd_tcp.ledger.folder import LedgerFolder
from statsd_tcp.mapping.mapper import Mapper
from statsd_tcp.outputs.delivery import Delivery
from statsd_tcp.outputs.graphite_paths import PATH_NAMES
from statsd_tcp.outputs.interfaces import IOutput
from statsd_tcp.outputs.plugins import make_plugin
from statsd_tcp.reload.command_line import command_again
from statsd_tcp.reload.reload import Reload
from statsd_tcp.repeat.queue import Repeated
from statsd_tcp.repeat.totals import RepeatTotals
from statsd_tcp.settings.endpoints import Endpoint
from statsd_tcp.settings.settings import Settings
from statsd_tcp.sockets.activation import kept_name
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.startup import told_in_a_line
from statsd_tcp.state.folder import LEDGERS, STORE, sign_lock
from statsd_tcp.status.examples import LastExamples
from statsd_tcp.status.greeting import announce
from statsd_tcp.status.health import Health
from statsd_tcp.status.kernel_watch import KernelWatch
from statsd_tcp.status.log_lines import observe
from statsd_tcp.status.own_metrics import OwnMetrics
from statsd_tcp.status.report import Report
from statsd_tcp.status.systemd import Notifier
from statsd_tcp.status.underway import Underway
from statsd_tcp.status.who import Listener, Who
from statsd_tcp.store.handover import FOLDER
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.supervisor.manifest import Manifest
from statsd_tcp.supervisor.shutdown import LONGEST_END
from statsd_tcp.supervisor.start_plan import Plan
from statsd_tcp.supervisor.supervisor import Supervisor
from statsd_tcp.web.service import WebService
from statsd_tcp.web.site import make_site
from statsd_tcp.who.limit_board import LimitBoard
from statsd_tcp.who.limit_memory import LimitPlan
from statsd_tcp.who.memory import SourceBoard, SourcePlan

if TYPE_CHECKING:
    # At run time it is imported late, with numpy, by the thread that needs it.
    from statsd_tcp.remote_write.output import RemoteWrite
    from statsd_tcp.remote_write.receiver import IReceiver
    from statsd_tcp.store.database import Store

__all__ = [
    "SAME_SIGNAL",
    "OrderedService",
    "SecondSignal",
    "Service",
    "flush_rules",
    "give_up",
    "make_outputs",
    "make_receivers",
]

_log = Logger()


SAME_SIGNAL = 0.25
"""A signal that follows another within this many seconds is the same one: a signal to the process group and one to this
process can both arrive."""


def make_outputs(reactor: Any, settings: Settings) -> dict[str, IOutput]:
    """Make the outputs, by their names; raises `plugins.PluginError`."""
    outputs: dict[str, IOutput] = {}
    if settings.graphite:
        from statsd_tcp.outputs.graphite import Graphite

        outputs.update({target.label: Graphite(reactor, target) for target in settings.graphite})
    for spec in settings.output:
        outputs[spec.label] = make_plugin(reactor, spec)
    if settings.console is not None and sys.__stdout__ is not None:
        from statsd_tcp.outputs.terminal import TerminalOutput

        # Not sys.stdout, which is the log under twistd.
        outputs["console"] = TerminalOutput(reactor, sys.__stdout__, settings.console)
    return outputs


def make_receivers(reactor: Any, settings: Settings) -> dict[str, IReceiver]:
    """Make what requests of remote write are sent to, by the names of the outputs; raises `SettingsError`."""
    if not settings.remote_write:
        return {}
    from statsd_tcp.remote_write.assembly import make_receivers

    return make_receivers(reactor, settings.remote_write)


def flush_rules(settings: Settings, outputs: Mapping[str, IOutput]) -> FlushRules:
    """Return the rules by which flushes are made."""
    return FlushRules(
        seconds=settings.flush_interval,
        timers=TimerRules(percentiles=settings.percentiles, histograms=settings.histogram, only=settings.timer_fields),
        idle=IdleRules(delete=settings.delete_idle, gauge_flushes=settings.gauges_ttl, ttl=settings.series_ttl),
        outputs=tuple(outputs),
        queue=settings.output_queue,
        limit=_limit(settings),
        path_names=PATH_NAMES if settings.graphite else None,
    )


def _limit(settings: Settings) -> Amount:
    return Amount(settings.max_series, settings.max_series_bytes)


def _limits(settings: Settings, workers: int) -> LimitBoard | None:
    """Make what limits sources, if there are limits."""
    rate = settings.source_rate
    if rate is None and not settings.source_open:
        return None
    interval = round(NANOSECONDS / rate.rate) if rate else 0
    plan = LimitPlan(
        SourcePlan.by_chance().keys,
        # A worker has a column until it has ended, while its successor has one already.
        columns=2 * workers + 2,
        interval=interval,
        room=interval * rate.burst if rate else 0,
        most_open=settings.source_open,
        action=LIMIT_ACTIONS.index(settings.source_limit_mode),
        bits_4=settings.who_mask.ipv4,
        bits_6=settings.who_mask.ipv6,
        exempt=Trust(settings.source_exempt).packed,
    )
    return LimitBoard(plan)


def _store_opener(plan: Plan, rules: FlushRules) -> Callable[[], Store]:
    """Return a function that opens the store, for the thread that it is to belong to."""

    def open_store() -> Store:
        from statsd_tcp.store.absorption import Absorption
        from statsd_tcp.store.database import Store

        settings = plan.settings
        Absorption(plan.state_dir / STORE, plan.state_dir / FOLDER).run()
        mapper = None if settings.mapping is None else Mapper(settings.mapping)
        return Store(
            plan.state_dir / STORE,
            series_ttl=settings.series_ttl,
            limit=_limit(settings),
            flushes=rules,
            mapper=mapper,
            counter_suffix=settings.counter_suffix,
            silence=settings.conflict_silence,
            node=settings.node,
        )

    return open_store


def _of_sources(listeners: Sequence[BoundListener]) -> list[Listener]:
    """Describe listeners as far as sources go."""
    return [Listener(one.label, may_have_header=_may_have_header(one.endpoint)) for one in listeners]


def _may_have_header(endpoint: Endpoint) -> bool:
    """Return whether a balancer in front could say who its clients are, and is not asked to."""
    return endpoint.stream and not endpoint.path and not endpoint.count_only and endpoint.proxy is None


class _StorePool(ThreadPool):
    """The store's thread, for which the process does not wait when it ends: the disk may no longer answer."""

    threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]


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
            # A process that a shell starts in the background has INT ignored, on purpose.
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
    """Parts that stop one after the other, so that the pages answer until the counting is done."""

    async def _stop_parts(self) -> None:
        for part in self.services:
            await maybeDeferred(part.stopService)

    def stopService(self) -> Deferred[None]:
        """Stop the parts in the order in which they were added."""
        self.running = 0
        return Deferred.fromCoroutine(self._stop_parts())


def _board(settings: Settings) -> SourceBoard | None:
    """Make what sources are counted on, if they are. Counting in Python costs more than a connection does."""
    is_cheap = native.is_used(os.environ)
    counts = settings.who == "all" or (settings.who and is_cheap)
    return SourceBoard(SourcePlan.by_chance(*settings.who_mask)) if counts else None


class Service(OrderedService):
    """All parts of the service, and what they tell each other.

    It is made when everything that can fail has been tried (`startup.make_plan`). ``lock`` is the descriptor that
    holds the state folder, ``manifest`` what an earlier image of this process left, ``observer`` what writes the log of
    the application that the service becomes a part of. Nothing happens before the start.
    """

    def __init__(
        self,
        reactor: Any,
        plan: Plan,
        lock: int,
        outputs: Mapping[str, IOutput],
        manifest: Manifest | None = None,
        observer: ILogObserver | None = None,
        receivers: Mapping[str, IReceiver] | None = None,
    ) -> None:
        super().__init__()
        self._log_observer = observer
        self._reactor = reactor
        self._plan = plan
        self._lock = lock
        self._inherited = manifest is not None
        settings = plan.settings
        rules = flush_rules(settings, outputs)
        self._ledger_folder = ledger_folder = LedgerFolder(plan.state_dir / LEDGERS)
        self._pool = _StorePool(minthreads=0, maxthreads=1, name="committer")
        children = Children(reactor)
        self._examples = LastExamples(reactor, kept=not settings.hide_bad_lines)
        self._recovery = Recovery(reactor, children, at_once=len(os.sched_getaffinity(0)), rejected=self._examples.add)
        self._committer = Committer(reactor, self._pool, _store_opener(plan, rules), ledger_folder, self._recovery)
        self._notifier = Notifier(os.environ, os.getpid())
        self._board = _board(settings)
        self._supervisor = Supervisor(
            reactor,
            children,
            plan,
            ledger_folder,
            self._committer,
            self,
            manifest,
            kept=self._notifier.listens,
            board=self._board,
            limits=_limits(settings, plan.workers),
        )
        self._deliveries = [Delivery(reactor, name, output, self._committer) for name, output in outputs.items()]
        self._remotes = self._make_remotes(settings, receivers or {})
        self._repeats = RepeatTotals([target.label for target in settings.repeat], reactor.seconds)
        self._kernel = KernelWatch(reactor, plan)
        self._health = Health(
            self._supervisor,
            self._committer,
            started_at=manifest.started_at if manifest else 0.0,
            up=manifest is None or manifest.up,
            start=(manifest.start if manifest else "") or token_hex(8),
        )
        self._reload = Reload(
            reactor,
            children,
            plan,
            self._supervisor,
            self._committer,
            self._health,
            self._notifier,
            command_again(sys.orig_argv, sys.argv, Path.cwd(), manifest.pid_file if manifest else ""),
            lock,
            manifest.reloads if manifest else 0,
        )
        who = Who(reactor, self._board, _of_sources(plan.listeners), settings.who_names, settings.who_to)
        self._report = Report(
            reactor,
            plan,
            self._supervisor,
            self._committer,
            ledger_folder,
            self._recovery,
            self._health,
            self._reload,
            self._kernel,
            Underway(
                {
                    "commit": [self._committer],
                    "recovery": [self._recovery],
                    "rehearsal": [self._reload],
                    "delivery": [*self._deliveries, *self._remotes],
                    "start": [self._supervisor],
                }
            ),
            self._deliveries,
            self._repeats,
            self._examples,
            who,
            self._remotes,
        )
        self._add_parts(rules)

    def _make_remotes(self, settings: Settings, receivers: Mapping[str, IReceiver]) -> list[RemoteWrite]:
        if not settings.remote_write:
            return []
        from statsd_tcp.remote_write.assembly import make_remotes

        def own(snapshot: Snapshot) -> OwnMetrics:
            return self._report.own_metrics(snapshot)

        return make_remotes(self._reactor, settings, receivers, self._committer.ask, own)

    def _add_parts(self, rules: FlushRules) -> None:
        """Add what starts and stops, in the order in which it stops, and what hears of commits."""
        reactor, plan = self._reactor, self._plan
        heard = self._committer.after_commit
        heard.append(self._supervisor.committed)
        self._committer.not_understood.heard.append(self._supervisor.begin_anew)
        heard.append(self._examples.committed)
        # They stop all at once, so that those which hang cost the time of one.
        outputs = MultiService()
        outputs.setServiceParent(self)
        parts: list[Delivery | RemoteWrite] = [*self._deliveries, *self._remotes]
        for delivery in parts:
            delivery.setServiceParent(outputs)
            heard.append(delivery.committed)
        self._supervisor.setServiceParent(self)
        if plan.http is not None:
            site = make_site(reactor, self._report, plan.settings, own_names())
            WebService(reactor, plan.http, site).setServiceParent(self)
        if plan.admin is not None:
            self._add_console(plan.admin, rules.timers)

    def _add_console(self, listener: BoundListener, timers: TimerRules) -> None:
        from statsd_tcp.console.activity import Activity
        from statsd_tcp.console.dispatch import Dispatch
        from statsd_tcp.console.service_view import ServiceView, StoredFlush
        from statsd_tcp.console.session import ConsoleFactory

        activity = Activity(self._reactor)
        self._committer.after_commit.append(activity.committed)
        view = ServiceView(self._health, self._report, activity, self._plan.settings)
        dispatch = Dispatch(StoredFlush(self._committer, timers), view)
        WebService(self._reactor, listener, ConsoleFactory(self._reactor, dispatch)).setServiceParent(self)

    def setServiceParent(self, parent: Any) -> None:
        """Become a part of an application, and write its log."""
        super().setServiceParent(parent)
        if self._log_observer is not None:
            observe(parent, self._log_observer)

    def privilegedStartService(self) -> None:
        """Do what needs the rights that the process has not given up yet."""
        with told_in_a_line():
            super().privilegedStartService()

    def startService(self) -> None:
        """Start everything, in the process that stays."""
        with told_in_a_line():
            self._start()

    def _start(self) -> None:
        sign_lock(self._lock)
        if not self._inherited:
            self._health.started_at = self._reactor.seconds()
        # The store imports numpy, whose BLAS would start a thread for each processor; nothing here uses it.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        self._pool.start()
        self._reactor.addSystemEventTrigger("before", "shutdown", self._notifier.stopping)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._limit_stop)
        self._reactor.callWhenRunning(self._install_signals)
        super().startService()

    async def _stop_parts(self) -> None:
        await super()._stop_parts()
        if self._committer.underway is None:
            self._pool.stop()
        # Otherwise its thread hangs in a commit, and is left where it is.

    def _limit_stop(self) -> None:
        seconds = self._plan.settings.drain_timeout + LONGEST_END

        def say() -> None:
            what = "something hangs" if self._committer.underway is None else "a commit has not returned"
            _log.error(
                "the stop is not over after {seconds:g} s, because {what}: the process ends now, and what the store "
                "lacks is in the ledgers, for the next start",
                seconds=seconds,
                what=what,
            )

        begin_deadline(seconds, say)

    def _install_signals(self) -> None:
        SecondSignal(self._reactor, self._supervisor.kill).install()
        self._reload.install()

    # What the supervisor tells.

    def every_second(self) -> None:
        """Do what is due once a second."""
        self._reload.resume()
        self._ledger_folder.check()
        self._report.sample()
        self._kernel.check()
        if self._health.healthy()[0]:
            self._notifier.alive()

    def all_accept(self) -> None:
        """Greet the operator, and tell systemd."""
        announce(self._plan)
        self._kernel.announce()
        self._tell_systemd()
        _keep_what_is_there()

    def reloaded(self) -> None:
        """Report what is in force now to the operator, and to systemd."""
        announce(self._plan, "goes on after a reload")
        self._tell_systemd()
        _keep_what_is_there()

    def _tell_systemd(self) -> None:
        """Let systemd keep the sockets, and report to it that the service is ready."""
        for listener in self._plan.listeners:
            for worker, descriptors in enumerate(listener.descriptors()):
                self._notifier.keep(kept_name(listener.label, worker), descriptors)
        self._notifier.ready(f"{self._plan.workers} workers accept")

    def repeated(self, worker: int, news: Sequence[Repeated]) -> None:
        """Add up what became of the lines that were sent on."""
        self._repeats.add(worker, news)

    def rejected(self, examples: Sequence[Example]) -> None:
        """Keep examples of what was rejected."""
        self._examples.add(examples)

    def give_up(self, why: str) -> None:
        """Stop, because the service cannot work."""
        give_up(self._reactor, why)


def _keep_what_is_there() -> None:
    """Spare later collections what a start has made: they would look at it again, and hold up the reactor for it."""
    gc.collect()
    gc.freeze()


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
