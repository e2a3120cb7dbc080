"""The composition root: the options of ``twistd statscounter``, and the service that they describe.

Whatever can fail at start fails in `makeService`, before twistd goes into the background: with one line on standard
error and exit status 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from twisted.application.service import IService
from twisted.python import usage
from twisted.python.threadpool import ThreadPool

from statsd_tcp import __version__, crash_points
from statsd_tcp.commit.committer import Committer
from statsd_tcp.commit.recovery import Recovery
from statsd_tcp.console.activity import Activity
from statsd_tcp.console.answers import Answers
from statsd_tcp.console.desk import Desk, StoredSlot
from statsd_tcp.console.session import Console
from statsd_tcp.crash_points import CrashPointError
from statsd_tcp.ledger.folder import Shelf
from statsd_tcp.mapping.mapper import Mapper
from statsd_tcp.outputs.build import make_outputs, slot_rules
from statsd_tcp.outputs.delivery import Delivery
from statsd_tcp.outputs.interfaces import IOutput
from statsd_tcp.outputs.plugins import PluginError
from statsd_tcp.reload.command_line import command_again
from statsd_tcp.reload.rehearsal import VARIABLE as OFFER
from statsd_tcp.reload.rehearsal import make_offer
from statsd_tcp.reload.reload import Renewal
from statsd_tcp.settings.state_folder import LEDGERS, STORE
from statsd_tcp.settings.table import OPTIONS, YES, Option, Settings, SettingsError, build_settings, read_config
from statsd_tcp.sockets.activation import kept_name
from statsd_tcp.startup import StartError, make_plan, sign_lock
from statsd_tcp.status.greeting import announce
from statsd_tcp.status.kernel_watch import KernelWatch
from statsd_tcp.status.report import Report
from statsd_tcp.status.systemd import Notifier
from statsd_tcp.store.database import Store
from statsd_tcp.store.slots import SlotRules
from statsd_tcp.supervisor.manifest import Manifest, read_manifest
from statsd_tcp.supervisor.plan import Plan
from statsd_tcp.supervisor.supervisor import Supervisor
from statsd_tcp.web.service import WebService
from statsd_tcp.web.site import make_site
from statsd_tcp.workers.ending import OrderedService, SecondSignal, give_up

__all__ = ["Options", "assemble", "makeService"]

_DESCRIPTION = f"""statscounter {__version__}: the stats server for short TCP connections. It counts every connection
exactly, aggregates the StatsD lines that they carry, and shows both at /metrics. An option that is given replaces its
default; an empty value (--count=) switches it off."""


def fail(message: str) -> NoReturn:
    """End the process before the service has started: one line on standard error, status 1."""
    raise SystemExit(f"statscounter: {message}")


class Options(usage.Options):
    """The options of ``twistd statscounter``. What was given is kept as text, and validated in one place."""

    synopsis = "[options]"
    longdesc = " ".join(_DESCRIPTION.split())
    optParameters = [["config", None, None, "TOML file with the same names; the command line wins"]]

    def __init__(self) -> None:
        self.given: dict[str, list[str]] = {}
        super().__init__()

    def parseOptions(self, options: Any = None) -> None:
        """Parse the command line; what is wrong in it ends the process with one line."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            fail(f"{error}; twistd statscounter --help lists the options")

    def parseArgs(self, *stray: str) -> None:
        """Refuse what is no option."""
        if stray:
            raise usage.UsageError(f"{stray[0]!r} is not an option")

    def opt_version(self) -> NoReturn:
        """Show the version and end."""
        print(f"statscounter {__version__}")  # noqa: T201
        raise SystemExit(0)

    def settings(self) -> Settings:
        """Validate everything; raises `SettingsError`."""
        file = self["config"]
        if not file:
            return build_settings(self.given)
        path = Path(file)
        return build_settings(self.given, read_config(path), str(path))


def _taker(option: Option) -> Any:
    def take(self: Options, text: str) -> None:
        self.given.setdefault(option.name, []).append(text)

    take.__doc__ = option.help
    return take


def _flag(option: Option, text: str, help_text: str) -> Any:
    def take(self: Options) -> None:
        self.given.setdefault(option.name, []).append(text)

    take.__doc__ = help_text
    return take


for _option in OPTIONS:
    # usage.Options finds its options by the names of the class's methods.
    if _option.flag:
        setattr(Options, f"opt_{_option.field}", _flag(_option, YES, _option.help))
        setattr(Options, f"opt_no_{_option.field}", _flag(_option, "", f"take --{_option.name} back"))
        continue
    setattr(Options, f"opt_{_option.field}", _taker(_option))
    if _option.short:
        setattr(Options, f"opt_{_option.short}", getattr(Options, f"opt_{_option.field}"))


def makeService(options: Options, reactor: Any = None) -> IService:
    """Make the service: try everything that can fail, then put the parts together."""
    try:
        settings = options.settings()
        if reactor is None:
            from twisted.internet import reactor
        outputs = make_outputs(reactor, settings)
        if os.environ.pop(OFFER, ""):
            make_offer(settings)
        manifest = read_manifest(os.environ)
        plan, lock = make_plan(settings, os.environ, manifest)
        crash_points.arm(os.environ, crash_points.SUPERVISOR)
    except (SettingsError, StartError, PluginError, CrashPointError) as error:
        fail(str(error))
    return assemble(reactor, plan, lock, outputs, manifest)


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
