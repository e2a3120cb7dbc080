"""The server's own counts before and after a run, and whether they agree with what the clients saw."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPException
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from prometheus_client.parser import text_string_to_metric_families

from statsd_tcp.commands.load.results import Result

__all__ = [
    "Counts",
    "Expectation",
    "Finding",
    "Patience",
    "Verdict",
    "Verifier",
    "VerifyError",
    "find_label",
    "judge",
    "page_reader",
]

CONNECTIONS = "statscounter_connections_total"
LINES = "statscounter_lines_total"
# One read of the server's page may take this long, in seconds.
ANSWER = 5.0
# Schemes of listeners that a connection over TCP can reach.
_STREAMS = ("tcp", "ssl")


class VerifyError(Exception):
    """The server's counts could not be had; the text says why, in one line."""


class Verdict(StrEnum):
    """What a comparison came to, the better before the worse."""

    EXACT = "exact"
    UNKNOWN = "could not tell"
    WRONG = "not exact"

    @property
    def status(self) -> int:
        """The exit status that says so."""
        return {Verdict.EXACT: 0, Verdict.WRONG: 1, Verdict.UNKNOWN: 2}[self]


class Counts(NamedTuple):
    """What the server has counted on the listeners of the run."""

    connections: int
    lines: int


class Expectation(NamedTuple):
    """What must have been counted: at least what clients saw accepted, at most what was sent."""

    least: int
    most: int


class Patience(NamedTuple):
    """How long counts must stand still to be believed, and when waiting for that ends. In seconds."""

    quiet: float
    deadline: float
    pause: float = 0.1


@dataclass(frozen=True, slots=True)
class Finding:
    """One comparison: of what, with which result, and in words."""

    what: str
    counted: int
    expected: Expectation
    verdict: Verdict
    text: str


def judge(what: str, counted: int, expected: Expectation, *, quiet: bool = True) -> Finding:
    """Compare what was counted with what was to be expected; ``quiet`` is false if it was still moving.

    Exact is only the upper end: everything that any client saw was counted. Below it and above the lower end,
    the clients cannot say what reached the server.
    """
    least, most = expected
    if counted > most:
        verdict, text = (
            Verdict.WRONG,
            f"{counted - most:,} more than sent: someone else sends too, or some count twice",
        )
    elif counted == most:
        verdict, text = Verdict.EXACT, "every one, once"
    elif not quiet:
        verdict, text = (
            Verdict.UNKNOWN,
            "the count was still rising when the waiting ended (--verify-timeout)",
        )
    elif counted < least:
        verdict, text = Verdict.WRONG, f"{least - counted:,} lost"
    else:
        verdict, text = Verdict.UNKNOWN, f"anything from {least:,} to {most:,} fits what the clients saw"
    return Finding(what, counted, expected, verdict, text)


def find_label(host: str, port: int, status: object, labels: set[str]) -> str | None:
    """Find the ``listener`` label that counts connections to a port, or None.

    The status page (decoded JSON) knows named listeners; without it the labels speak for themselves, an
    address of its own before the port alone.
    """
    shown = f"[{host}]" if ":" in host else host
    named = list(_labels_of(port, host, status))
    for label in (*named, *(f"{scheme}:{place}" for place in (f"{shown}:{port}", f"{port}") for scheme in _STREAMS)):
        if label in labels:
            return label
    return None


def _labels_of(port: int, host: str, status: object) -> Iterable[str]:
    listeners = status.get("listeners") if isinstance(status, dict) else None
    entries = [entry for entry in listeners if isinstance(entry, dict)] if isinstance(listeners, list) else []
    entries = [entry for entry in entries if entry.get("port") == port and entry.get("scheme") in _STREAMS]
    # One that is bound to this very address takes the connections before one that is bound to all.
    for entry in sorted(entries, key=lambda entry: not _is_bound_to(entry, host)):
        label = entry.get("label")
        if isinstance(label, str):
            yield label


def _is_bound_to(entry: dict[str, object], host: str) -> bool:
    addresses = entry.get("addresses")
    if not isinstance(addresses, list):
        return False
    return host in {str(address).rpartition(":")[0].strip("[]") for address in addresses}


def page_reader(url: str) -> Callable[[str], str]:
    """Make a function that reads a page of the server at ``url`` (without a path), or raises VerifyError."""
    # The environment's proxy has no business between us and our own server.
    opener = build_opener(ProxyHandler({}))

    def read(path: str) -> str:
        try:
            with opener.open(url + path, timeout=ANSWER) as response:
                return str(response.read().decode())
        except HTTPError as error:
            error.close()
            raise VerifyError(f"{url}{path}: {error}") from None
        except (OSError, HTTPException, UnicodeDecodeError) as error:
            raise VerifyError(f"{url}{path}: {getattr(error, 'reason', None) or error}") from None

    return read


class Verifier:
    """Compares a server's counts; ``read`` gets a page of it, see :func:`page_reader`.

    ``with_lines`` says whether lines are compared too: they become visible with the server's commits.
    """

    def __init__(
        self,
        read: Callable[[str], str],
        patience: Patience,
        *,
        with_lines: bool,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._read, self._patience, self._with_lines = read, patience, with_lines
        self._clock, self._sleep = clock, sleep
        self._labels: set[str] = set()
        self._before = Counts(0, 0)

    def begin(self, host: str, ports: Iterable[int]) -> None:
        """Find the listeners of these ports and take their counts, once they stand still.

        Raises VerifyError if there is nothing to compare with.
        """
        labels = {label for name, label, _ in self._samples() if name == CONNECTIONS}
        status = self._status()
        for port in ports:
            label = find_label(host, port, status, labels)
            if label is None:
                known = ", ".join(sorted(labels)) or "none"
                raise VerifyError(f"the server counts no connections to port {port} (its listeners: {known})")
            self._labels.add(label)
        counts, quiet = self._settled(lambda _: True)
        if not quiet:
            names = ", ".join(sorted(self._labels))
            raise VerifyError(f"{names} is in use by someone else: its counts rise before the run")
        self._before = counts

    def compare(self, result: Result) -> list[Finding]:
        """Wait until the counts have come to rest, and compare. Raises VerifyError if they cannot be read."""
        connections = Expectation(result.certain, result.established)
        lines = Expectation(result.certain_lines, result.lines)

        def decided(now: Counts) -> bool:
            enough = now.lines - self._before.lines >= lines.most or not self._with_lines
            return enough and now.connections - self._before.connections >= connections.most

        after, quiet = self._settled(decided)
        if after.connections < self._before.connections or after.lines < self._before.lines:
            raise VerifyError("the counts fell during the run; is it the same service as before?")
        findings = [judge("connections", after.connections - self._before.connections, connections, quiet=quiet)]
        if self._with_lines:
            findings.append(judge("lines", after.lines - self._before.lines, lines, quiet=quiet))
        return findings

    def _settled(self, decided: Callable[[Counts], bool]) -> tuple[Counts, bool]:
        """Read until the counts have stood still for the quiet time and are decided, or until the deadline.

        Counts that match may still go on rising, so a match alone does not end the waiting.
        """
        now = self._clock()
        deadline, since, last = now + self._patience.deadline, now, self._counts()
        while True:
            now = self._clock()
            quiet = now - since >= self._patience.quiet
            if (quiet and decided(last)) or now >= deadline:
                return last, quiet
            self._sleep(self._patience.pause)
            counts = self._counts_until(deadline)
            if counts != last:
                since, last = self._clock(), counts

    def _counts_until(self, deadline: float) -> Counts:
        """Read the counts, from a server that may be busy restarting."""
        while True:
            try:
                return self._counts()
            except VerifyError:
                if self._clock() >= deadline:
                    raise
            self._sleep(self._patience.pause)

    def _counts(self) -> Counts:
        found = {CONNECTIONS: 0, LINES: 0}
        for name, label, value in self._samples():
            if label in self._labels:
                found[name] += int(value)
        return Counts(found[CONNECTIONS], found[LINES])

    def _samples(self) -> list[tuple[str, str, float]]:
        # Only these two: the page may hold a hundred thousand other series, in which we have no part.
        wanted = [line for line in self._read("/metrics").splitlines() if line.startswith((CONNECTIONS, LINES))]
        try:
            return [
                (sample.name, sample.labels.get("listener", ""), sample.value)
                for family in text_string_to_metric_families("\n".join(wanted) + "\n")
                for sample in family.samples
                if sample.name in {CONNECTIONS, LINES}
            ]
        except ValueError as error:
            raise VerifyError(f"/metrics is not in Prometheus' text format: {error}") from None

    def _status(self) -> object:
        """Read the status page; without one, the labels have to do."""
        try:
            return json.loads(self._read("/api/v1/status"))
        except (VerifyError, ValueError):
            return None
