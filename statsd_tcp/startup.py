"""Everything that can fail at start, tried in one place: the machine, the state directory, the sockets."""

from __future__ import annotations

import errno
import math
import os
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from twisted.logger import Logger

from statsd_tcp.kernel.cpu_count import size_workers
from statsd_tcp.kernel.placement import place_workers, read_layout
from statsd_tcp.kernel.port_owner import port_owner
from statsd_tcp.settings.endpoints import Endpoint
from statsd_tcp.settings.settings import Settings
from statsd_tcp.settings.state_folder import default_state_directory
from statsd_tcp.sockets.activation import activated_descriptors, describe_sockets
from statsd_tcp.sockets.binding import bind_listener
from statsd_tcp.sockets.inherited import InheritedListener, InheritedSockets
from statsd_tcp.sockets.limits import RESERVED_DESCRIPTORS, raise_descriptor_limit
from statsd_tcp.sockets.listener import BoundListener, listen_backlog
from statsd_tcp.sockets.tls import TlsError, read_tls
from statsd_tcp.sockets.unix import PathInUseError
from statsd_tcp.state.folder import STORE, StateError, check_state, files_in, open_state
from statsd_tcp.state.user import User, UserError, acting_as, check_access
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.inspection import check_file, check_node
from statsd_tcp.supervisor.manifest import Manifest
from statsd_tcp.supervisor.start_plan import Plan
from statsd_tcp.words import in_words

__all__ = ["StartError", "check_reload", "commit_period", "make_plan", "tls_faults", "told_in_a_line", "unforeseen"]

COMMIT_PERIOD = "STATSCOUNTER_COMMIT_PERIOD"
"""The environment variable that has commits come more often than once a second, for tests that wait for them."""

MOST_COMMITS = 20
"""Commits a second that may be asked for."""

_FIRST_UNPRIVILEGED_PORT = 1024

_log = Logger()


class StartError(Exception):
    """Something that the service cannot start without; the text is one line with the cause and the remedy."""


def make_plan(
    settings: Settings, environ: Mapping[str, str], manifest: Manifest | None = None, user: User | None = None
) -> tuple[Plan, int]:
    """Try everything that can fail; return the plan, and the descriptor that holds the state folder's lock.

    With a manifest, what an earlier image of this process left is used before anything new is made, and the store may
    fail for now: its workers go on. ``user`` is whom this process, root's, becomes afterwards.
    """
    if sys.platform != "linux":
        raise StartError("runs on Linux only: it needs epoll, SO_REUSEPORT groups and /proc")
    period = commit_period(environ)
    if manifest is None:
        _warn_of_fixed_hashes(environ)
    try:
        if user is not None:
            check_access(user)
        held = None if manifest is None else manifest.lock
        folder, lock = open_state(default_state_directory(settings, environ), user, held)
        if manifest is None:
            with acting_as(user):
                _check_store(folder / STORE, settings)
    except (StateError, UserError) as error:
        raise StartError(str(error)) from None
    bound: list[BoundListener] = []
    inherited = InheritedSockets(_left_to_us(environ, manifest))
    try:
        plan = _bind_all(settings, folder, bound, inherited)._replace(commit_period=period)
        inherited.settle()
        return plan, lock
    except BaseException:
        # Ports end with the process, but the files of Unix sockets do not.
        for listener in bound:
            listener.close()
        raise


def check_reload(settings: Settings, environ: Mapping[str, str]) -> None:
    """Try for a reload what the next image needs besides its ports; raises `StartError`."""
    try:
        folder = default_state_directory(settings, environ)
        check_state(folder)
        store = files_in(folder) / STORE
        if store.exists():
            check_node(store, settings.node, may_rename=settings.may_rename)
    except (StateError, StoreError) as error:
        raise StartError(str(error)) from None
    for fault in tls_faults(settings):
        raise StartError(f"--listen {fault}")


def tls_faults(settings: Settings) -> Iterator[str]:
    """Yield the endpoint, and what is wrong, for each whose keys or certificates cannot be used."""
    for endpoint in settings.listen:
        if endpoint.tls is not None:
            try:
                read_tls(endpoint.tls)
            except TlsError as error:
                yield f"{endpoint.scheme}:{endpoint.port}: {error}"


def commit_period(environ: Mapping[str, str]) -> float:
    """Return the seconds between two commits: a whole number of them makes a second. Raises `StartError`."""
    text = environ.get(COMMIT_PERIOD, "1")
    try:
        period = float(text)
        commits = round(1 / period)
    except (ValueError, OverflowError, ZeroDivisionError):
        period = commits = 0
    if not 1 <= commits <= MOST_COMMITS or not math.isclose(commits * period, 1, rel_tol=1e-3):
        raise StartError(f"{COMMIT_PERIOD}={text}: not a second, nor a half, a third, ... a twentieth of one")
    return 1 / commits


def _warn_of_fixed_hashes(environ: Mapping[str, str]) -> None:
    """Warn that clients can predict how this process hashes what they send: names, and members of sets."""
    seed = environ.get("PYTHONHASHSEED", "")
    if seed not in {"", "random"} and not sys.flags.ignore_environment:
        _log.warn(
            "PYTHONHASHSEED={seed}: a client can choose names and members that meet in a table; unset it", seed=seed
        )


def unforeseen(error: Exception) -> str:
    """Return one line about an unforeseen error: the cause, and where in our code it was raised.

    The kind of exception says nothing to the reader of that line; the log has it.
    """
    words = in_words(error)
    if isinstance(error, OSError):
        if error.errno in (errno.EMFILE, errno.ENFILE):
            return f"cannot start: {error.strerror}: raise the limit of open files (ulimit -n)"
        is_proc = error.errno == errno.ENOENT and str(error.filename).startswith("/proc")
        return f"cannot start: {words}{'; the service needs /proc' if is_proc else ''}"
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if "statsd_tcp" in frame.filename]
    where = f" in {Path(places[-1].filename).name}, line {places[-1].lineno}" if places else ""
    said = f": {words}" if words != type(error).__name__ else ""
    return f"cannot start, for a reason that was not foreseen{where}{said}"


@contextmanager
def told_in_a_line() -> Iterator[None]:
    """Print an error of the start, after which twistd ends, as one line on standard error and not as a traceback."""
    try:
        yield
    except Exception as error:
        line = unforeseen(error)
        _log.failure("statscounter {line}", line=line)
        # twistd takes its pid file away, tells its parent if there is one, and raises the error again.
        sys.excepthook = lambda *_: print(f"statscounter: {line}", file=sys.__stderr__)
        raise


def _left_to_us(environ: Mapping[str, str], manifest: Manifest | None) -> list[InheritedListener]:
    """Return the listening sockets that are there already: an earlier image's, or systemd's."""
    if manifest is not None:
        return [*manifest.listeners, *manifest.services]
    return describe_sockets(activated_descriptors(dict(environ), os.getpid()))


def _bind_all(settings: Settings, folder: Path, listeners: list[BoundListener], inherited: InheritedSockets) -> Plan:
    """Bind everything; what is bound is added to ``listeners`` at once."""

    def bind(endpoint: Endpoint, workers: int, option: str) -> BoundListener:
        return _bind(endpoint, workers, option, inherited)

    sizing = size_workers(settings.workers)
    # One by one: when the next cannot be bound, those before it must be known.
    for endpoint in settings.listen + settings.count:
        listeners += [bind(endpoint, sizing.workers, "count" if endpoint.count_only else "listen")]
    _check_labels(listeners)
    plan = Plan(
        settings=settings,
        listeners=listeners,
        http=bind(settings.http, 1, "http") if settings.http else None,
        admin=bind(settings.admin, 1, "admin") if settings.admin else None,
        workers=sizing.workers,
        workers_reason=sizing.reason,
        descriptors=raise_descriptor_limit(),
        backlog=listen_backlog(),
        state_dir=folder,
        inherited=inherited,
        cpus=place_workers(sizing.workers, read_layout()) if settings.pin or settings.steer else (),
    )
    _check_descriptors(plan)
    return plan


def _check_store(path: Path, settings: Settings) -> None:
    """Find out now whether an existing store can be used. A new one is made only after a change of user."""
    if path.exists():
        try:
            check_file(path, settings.node, may_rename=settings.may_rename)
        except StoreError as error:
            raise StartError(str(error)) from None


def _bind(endpoint: Endpoint, workers: int, option: str, inherited: InheritedSockets) -> BoundListener:
    try:
        return inherited.take(endpoint, workers) or bind_listener(endpoint, workers)
    except TlsError as error:
        raise StartError(f"--{option} {endpoint.scheme}:{endpoint.port}: {error}") from None
    except OSError as error:
        explained = _explained_path if endpoint.path else _explained
        raise StartError(explained(endpoint, option, error)) from None


def _explained(endpoint: Endpoint, option: str, error: OSError) -> str:
    what = f"{endpoint.scheme}:{endpoint.port}"
    moves = f"--{option}= switches it off, --{option} {endpoint.scheme}:PORT moves it"
    if error.errno == errno.EADDRINUSE:
        owner = port_owner(endpoint.scheme, endpoint.port)
        return f"--{option}: {what} is in use{f' by {owner}' if owner else ''}: {moves}"
    if error.errno in (errno.EACCES, errno.EPERM) and endpoint.port < _FIRST_UNPRIVILEGED_PORT:
        return f"--{option}: {what} needs root or the capability CAP_NET_BIND_SERVICE: {moves}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--{option} {endpoint}: this machine has no address {endpoint.interface}"
    return f"--{option} {endpoint}: {error.strerror}"


def _explained_path(endpoint: Endpoint, option: str, error: OSError) -> str:
    what = f"--{option}: {endpoint.scheme}:{endpoint.path}"
    moves = f"--{option} {endpoint.scheme}:PATH moves it"
    if isinstance(error, PathInUseError):
        return f"{what} {error.strerror}: {moves}"
    if error.errno == errno.EADDRINUSE:
        return f"{what} is in use by another process: {moves}"
    if error.errno == errno.ENOENT:
        return f"{what}: the folder does not exist: make it, or {moves}"
    if error.errno == errno.EPERM:
        return f"{what}: to give it to that user or group needs root: leave user= and group= out"
    return f"{what}: {error.strerror}: {moves}"


def _check_labels(listeners: list[BoundListener]) -> None:
    labels = Counter(listener.label for listener in listeners)
    for label, times in labels.items():
        if times > 1:
            raise StartError(f"--listen/--count: two listeners are called {label}; name=LABEL tells them apart")


def _check_descriptors(plan: Plan) -> None:
    sockets = sum(len(row) for listener in plan.listeners for row in listener.sockets)
    pages = plan.settings.http_connections if plan.http is not None else 0
    needed = sockets + pages + RESERVED_DESCRIPTORS
    if needed > plan.descriptors:
        raise StartError(
            f"the limit of {plan.descriptors} open files (ulimit -n) is too low for {sockets} listening sockets and "
            f"{pages} HTTP connections: raise it to {needed + RESERVED_DESCRIPTORS} or more, or ask for fewer "
            "--workers or --http-connections"
        )
