"""The options of ``twistd statscounter``, and the service that they describe.

Whatever can fail at start fails in `makeService`, before twistd goes into the background: with one line on standard
error and exit status 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from twisted.application.service import IService
from twisted.logger import ILogObserver
from twisted.python import usage

from statsd_tcp import __version__, crash_points
from statsd_tcp.clock import use_monotonic
from statsd_tcp.crash_points import CrashPointError
from statsd_tcp.formats import FormatError
from statsd_tcp.outputs.interfaces import IOutput
from statsd_tcp.outputs.plugins import PluginError
from statsd_tcp.reload.opened_again import files_read, log_file, logs_to_stdout
from statsd_tcp.reload.rehearsal import VARIABLE as REHEARSAL
from statsd_tcp.reload.rehearsal import rehearse
from statsd_tcp.service.outputs import make_outputs, make_receivers
from statsd_tcp.service.service import Service
from statsd_tcp.settings.build import build_settings
from statsd_tcp.settings.config_file import read_config
from statsd_tcp.settings.options import OPTIONS, Option
from statsd_tcp.settings.scalars import YES
from statsd_tcp.settings.settings import Settings, SettingsError
from statsd_tcp.sockets.tls import reactor_without_tls
from statsd_tcp.startup import StartError, check_reload, make_plan, unforeseen
from statsd_tcp.state.user import User, UserError, check_reading, check_writing, find_user
from statsd_tcp.status.log_file import LogFile
from statsd_tcp.status.log_lines import make_observer, plain_under_twist
from statsd_tcp.status.outlet import outlet_of
from statsd_tcp.supervisor.manifest import Manifest, read_manifest
from statsd_tcp.supervisor.start_plan import Plan

if TYPE_CHECKING:
    from statsd_tcp.remote_write.receiver import IReceiver

__all__ = ["Options", "makeService"]

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


def _assemble(
    reactor: Any,
    plan: Plan,
    lock: int,
    outputs: Mapping[str, IOutput],
    manifest: Manifest | None,
    observer: ILogObserver | None,
    receivers: Mapping[str, IReceiver],
) -> Service:
    try:
        return Service(reactor, plan, lock, outputs, manifest, observer, receivers)
    except BaseException:
        # Ports end with the process, but the files of Unix sockets do not.
        for listener in plan.listeners:
            listener.close()
        raise


def _twistd_of(options: Options) -> Mapping[str, Any]:
    """Find the options of the program that runs us."""
    if options.parent is not None:
        return dict(options.parent)
    if Path(sys.argv[0]).name != "twistd":
        return {}
    # A tac file does not see twistd's own options.
    from twisted.scripts._twistd_unix import ServerOptions

    given = ServerOptions()
    given.parseOptions(sys.argv[1:])
    return dict(given)


def _check_files(options: Options, settings: Settings, twistd: Mapping[str, Any], user: User | None) -> None:
    """Try what is opened later, by twistd or a reload; raises `UserError`."""
    if user is not None:
        check_reading(user, files_read(settings, options["config"], twistd))
    if log := log_file(twistd):
        check_writing(user, "--logfile", log)


def _log_observer(reactor: Any, options: Options, settings: Settings, twistd: Mapping[str, Any]) -> ILogObserver | None:
    """Make what writes the log under twistd, to standard output or a file; None where the log goes elsewhere."""
    if options.parent is not None:
        plain_under_twist(options.parent)
    if logs_to_stdout(twistd):
        return make_observer(settings.log_format, outlet_of(sys.stdout))
    log = log_file(twistd)
    return make_observer(settings.log_format, LogFile(reactor, log)) if log else None


def _needs_tls(options: Options, settings: Settings) -> bool:
    """Return whether the reactor may need TLS: for an output, or for what else a tac file starts."""
    return options.parent is None or bool(settings.output or settings.remote_write)


def makeService(options: Options, reactor: Any = None) -> IService:
    """Make the service: try everything that can fail, then put the parts together."""
    try:
        settings = options.settings()
        if reactor is None:
            with nullcontext() if _needs_tls(options, settings) else reactor_without_tls():
                from twisted.internet import reactor

            use_monotonic(reactor)
        outputs = make_outputs(reactor, settings)
        receivers = make_receivers(reactor, settings)
        twistd = _twistd_of(options)
        user = find_user(twistd.get("uid"), twistd.get("gid"))
        running = os.environ.pop(REHEARSAL, "")
        _check_files(options, settings, twistd, user)
        if running:
            check_reload(settings, os.environ)
            rehearse(settings, running)
        manifest = read_manifest(os.environ)
        plan, lock = make_plan(settings, os.environ, manifest, user)
        crash_points.arm(os.environ, crash_points.SUPERVISOR + crash_points.ABSORBING)
        return _assemble(
            reactor, plan, lock, outputs, manifest, _log_observer(reactor, options, settings, twistd), receivers
        )
    except (SettingsError, StartError, PluginError, CrashPointError, FormatError, UserError) as error:
        fail(str(error))
    except Exception as error:  # noqa: BLE001  (here and only here a start ends, whatever it was)
        fail(unforeseen(error))
