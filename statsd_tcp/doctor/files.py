"""The remedies as files that can be installed by hand or by ``apply``: only what differs, each line with its reason."""

from __future__ import annotations

from collections.abc import Sequence

from statsd_tcp.doctor.checks.tracking import NOTRACK_FILE
from statsd_tcp.doctor.examination import remedies
from statsd_tcp.doctor.goal import Goal
from statsd_tcp.doctor.judgement import Remedy, Result, Scope, container_flag

__all__ = ["DROP_IN_FILE", "SYSCTL_FILE", "drop_in", "remedy_files", "sysctl_conf"]

SYSCTL_FILE = "60-statscounter.conf"
DROP_IN_FILE = "statscounter.service.d/50-doctor.conf"
CONTAINER_FILE = "container-flags.txt"
BY_HAND_FILE = "by-hand.txt"
UNDO_FILE = "undo.sh"

_Pairs = Sequence[tuple[Result, Remedy]]


def remedy_files(results: Sequence[Result], goal: Goal) -> dict[str, str]:
    """Return the files by name; none where nothing is to be changed."""
    pairs = remedies(results)
    head = f"# statscounter doctor: for {goal.rate:,.0f} connections per second, {goal.workers} workers.\n"
    files = {
        SYSCTL_FILE: sysctl_conf(_of(pairs, "sysctl")),
        DROP_IN_FILE: drop_in(_of(pairs, "unit")),
        NOTRACK_FILE: "".join(remedy.value for _, remedy in _of(pairs, "notrack")),
        CONTAINER_FILE: _container_flags(pairs),
        BY_HAND_FILE: _by_hand(pairs),
        UNDO_FILE: _undo(pairs),
    }
    return {name: _headed(name, head, text) for name, text in files.items() if text}


def sysctl_conf(pairs: _Pairs) -> str:
    """Write a sysctl.d file. What would lower a value is only a comment: that is decided by people."""
    return "".join(f"{_reason(result)}{_hold(remedy)}{remedy.name} = {remedy.value}\n" for result, remedy in pairs)


def drop_in(pairs: _Pairs) -> str:
    """Write a drop-in for the service's systemd unit."""
    lines = "".join(f"{_reason(result)}{_hold(remedy)}{remedy.name}={remedy.value}\n" for result, remedy in pairs)
    return f"[Service]\n{lines}" if lines else ""


def _hold(remedy: Remedy) -> str:
    return "" if remedy.automatic else "# by hand: "


def _container_flags(pairs: _Pairs) -> str:
    """Write flags of docker and podman; only settings of the container's own namespaces can be given this way."""
    flags = [
        f"--sysctl {remedy.name}={remedy.value.replace(' ', ',')}"
        for result, remedy in _of(pairs, "sysctl")
        if result.check.scope is Scope.NETWORK and remedy.automatic
    ]
    limits = [remedy for _, remedy in [*_of(pairs, "unit"), *_of(pairs, "container")] if remedy.automatic]
    flags += filter(None, (container_flag(remedy.name, remedy.value) for remedy in limits))
    return "".join(f"{flag}\n" for flag in flags)


def _by_hand(pairs: _Pairs) -> str:
    """Write what the doctor never does itself: it may interrupt the network."""
    return "".join(f"{_reason(result)}{remedy.do}\n# undo: {remedy.undo}\n" for result, remedy in _of(pairs, "command"))


def _undo(pairs: _Pairs) -> str:
    """Write a shell script that puts the values of today back, once the files above are removed again."""
    return "".join(
        f"{remedy.undo}\n" for _, remedy in pairs if remedy.kind in {"sysctl", "notrack"} and remedy.automatic
    )


def _of(pairs: _Pairs, kind: str) -> _Pairs:
    return [pair for pair in pairs if pair[1].kind == kind]


def _reason(result: Result) -> str:
    judgement = result.judgement
    need = f" needed: {judgement.needed} = {judgement.formula}" if judgement.formula else ""
    return f"# {result.check.id}: {judgement.why}.{need}\n"


def _headed(name: str, head: str, text: str) -> str:
    if name != UNDO_FILE:
        return head + text
    removed = "# Remove the installed files first: what they set comes back at the next boot.\n"
    return f"#!/bin/sh\n{head}{removed}set -x\n{text}"
