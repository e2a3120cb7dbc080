"""The service: its parts put together, started, and told what happens.

Here and only here the parts meet. Nothing happens before the service is started. What not every start needs is imported
where it is needed: imports are most of what a start costs.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from twisted.application.service import MultiService
from twisted.logger import ILogObserver

from statsd_tcp.aggregate.examples import Example
from statsd_tcp.flush.rules import FlushRules
from statsd_tcp.outputs.delivery import Delivery
from statsd_tcp.outputs.interfaces import IOutput
from statsd_tcp.reload.command_line import command_again
from statsd_tcp.reload.reload import Reload
from statsd_tcp.repeat.queue import Repeated
from statsd_tcp.repeat.totals import RepeatTotals
from statsd_tcp.service.counting import make_counting
from statsd_tcp.service.ending import OrderedService, SecondSignal, give_up, limit_stop
from statsd_tcp.service.outputs import flush_rules
from statsd_tcp.service.ports import make_console, make_pages
from statsd_tcp.service.sources import make_board, make_limits, of_sources
from statsd_tcp.settings.settings import Settings
from statsd_tcp.sockets.activation import kept_name
from statsd_tcp.startup import told_in_a_line
from statsd_tcp.state.folder import sign_lock
from statsd_tcp.status.greeting import announce
from statsd_tcp.status.health import Health
from statsd_tcp.status.kernel_watch import KernelWatch
from statsd_tcp.status.log_lines import observe
from statsd_tcp.status.own_metrics import OwnMetrics
from statsd_tcp.status.parts import Parts
from statsd_tcp.status.report import Report
from statsd_tcp.status.systemd import Notifier
from statsd_tcp.status.underway import Underway
from statsd_tcp.status.who import Who
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.supervisor.manifest import Manifest
from statsd_tcp.supervisor.shutdown import LONGEST_END
from statsd_tcp.supervisor.start_plan import Plan
from statsd_tcp.supervisor.supervisor import Supervisor
from statsd_tcp.who.memory import SourceBoard

if TYPE_CHECKING:
    from statsd_tcp.remote_write.output import RemoteWrite
    from statsd_tcp.remote_write.receiver import IReceiver

__all__ = ["Service"]


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
        rules = flush_rules(plan.settings, outputs)
        self._counting = make_counting(reactor, plan, lock, rules)
        self._committer = self._counting.committer
        self._notifier = Notifier(os.environ, os.getpid())
        board = make_board(plan.settings)
        self._supervisor = self._make_supervisor(board, manifest)
        self._health = self._make_health(manifest)
        self._reload = self._make_reload(manifest)
        self._deliveries = [Delivery(reactor, name, output, self._committer) for name, output in outputs.items()]
        self._remotes = self._make_remotes(plan.settings, receivers or {})
        self._repeats = RepeatTotals([target.label for target in plan.settings.repeat], reactor.seconds)
        self._kernel = KernelWatch(reactor, plan)
        self._report = self._make_report(board)
        self._add_parts(rules)

    def _make_supervisor(self, board: SourceBoard | None, manifest: Manifest | None) -> Supervisor:
        plan, counting = self._plan, self._counting
        return Supervisor(
            self._reactor,
            counting.children,
            plan,
            counting.ledger_folder,
            self._committer,
            self,
            manifest,
            kept=self._notifier.listens,
            board=board,
            limits=make_limits(plan.settings, plan.workers),
        )

    def _make_health(self, manifest: Manifest | None) -> Health:
        return Health(
            self._supervisor,
            self._committer,
            started_at=manifest.started_at if manifest else 0.0,
            up=manifest is None or manifest.up,
            start=(manifest.start if manifest else "") or token_hex(8),
        )

    def _make_reload(self, manifest: Manifest | None) -> Reload:
        return Reload(
            self._reactor,
            self._counting.children,
            self._plan,
            self._supervisor,
            self._committer,
            self._health,
            self._notifier,
            command_again(sys.orig_argv, sys.argv, Path.cwd(), manifest.pid_file if manifest else ""),
            self._lock,
            manifest.reloads if manifest else 0,
        )

    def _make_report(self, board: SourceBoard | None) -> Report:
        plan, counting = self._plan, self._counting
        settings = plan.settings
        underway = Underway(
            {
                "commit": [self._committer],
                "recovery": [counting.recovery],
                "rehearsal": [self._reload],
                "delivery": [*self._deliveries, *self._remotes],
                "start": [self._supervisor],
            }
        )
        parts = Parts(
            plan=plan,
            supervisor=self._supervisor,
            committer=self._committer,
            ledger_folder=counting.ledger_folder,
            recovery=counting.recovery,
            health=self._health,
            reload=self._reload,
            kernel=self._kernel,
            underway=underway,
            deliveries=self._deliveries,
            remotes=self._remotes,
            repeats=self._repeats,
            examples=counting.examples,
            who=Who(self._reactor, board, of_sources(plan.listeners), settings.who_names, settings.who_to),
        )
        return Report(self._reactor, parts)

    def _make_remotes(self, settings: Settings, receivers: Mapping[str, IReceiver]) -> list[RemoteWrite]:
        if not settings.remote_write:
            return []
        from statsd_tcp.remote_write.assembly import make_remotes

        def own(snapshot: Snapshot) -> OwnMetrics:
            return self._report.own_metrics(snapshot)

        return make_remotes(self._reactor, settings, receivers, self._committer.ask, own)

    def _add_parts(self, rules: FlushRules) -> None:
        """Add what starts and stops, in the order in which it stops, and what hears of commits."""
        plan = self._plan
        heard = self._committer.after_commit
        heard.append(self._supervisor.committed)
        self._committer.not_understood.heard.append(self._supervisor.begin_anew)
        # They stop all at once, so that those which hang cost the time of one.
        outputs = MultiService()
        outputs.setServiceParent(self)
        parts: list[Delivery | RemoteWrite] = [*self._deliveries, *self._remotes]
        for delivery in parts:
            delivery.setServiceParent(outputs)
            heard.append(delivery.committed)
        self._supervisor.setServiceParent(self)
        if plan.http is not None:
            make_pages(self._reactor, plan.http, self._report, plan.settings).setServiceParent(self)
        if plan.admin is not None:
            console = make_console(
                self._reactor,
                plan.admin,
                self._committer,
                rules.timers,
                self._health,
                self._report,
                plan.settings,
            )
            console.setServiceParent(self)

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
        if self._inherited:
            self._forget_sockets()
        else:
            self._health.started_at = self._reactor.seconds()
        # The store imports numpy, whose BLAS would start a thread for each processor; nothing here uses it.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        self._counting.pool.start()
        self._reactor.addSystemEventTrigger("before", "shutdown", self._notifier.stopping)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._limit_stop)
        self._reactor.callWhenRunning(self._install_signals)
        super().startService()

    async def _stop_parts(self) -> None:
        await super()._stop_parts()
        if not self._commit_hangs():
            self._counting.pool.stop()
        # Otherwise its thread hangs in a commit, and is left where it is.

    def _limit_stop(self) -> None:
        limit_stop(self._plan.settings.drain_timeout + LONGEST_END, self._commit_hangs)

    def _commit_hangs(self) -> bool:
        return self._committer.underway is not None

    def _install_signals(self) -> None:
        SecondSignal(self._reactor, self._supervisor.kill).install()
        self._reload.install()

    # What the supervisor tells.

    def every_second(self) -> None:
        """Do what is due once a second."""
        self._reload.resume()
        self._counting.ledger_folder.check()
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

    def _forget_sockets(self) -> None:
        """Let systemd keep what is given up no longer: clients would wait there, and nothing else could be bound."""
        for listener in self._plan.inherited.given_up:
            for worker in range(len(listener.sockets)):
                self._notifier.forget(kept_name(listener.label, worker))

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
        self._counting.examples.add(examples)

    def give_up(self, why: str) -> None:
        """Stop, because the service cannot work."""
        give_up(self._reactor, why)


def _keep_what_is_there() -> None:
    """Spare later collections what a start has made: they would look at it again, and hold up the reactor for it."""
    gc.collect()
    gc.freeze()
