"""The doctor's findings as JSON. Its form has a version; the ids of checks never change their meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from statsd_tcp.doctor.goal import Goal
from statsd_tcp.doctor.judgement import Result
from statsd_tcp.doctor.references import references

__all__ = ["JSON_VERSION", "results_json"]

JSON_VERSION = 1
"""Raised when a field changes its meaning or goes; new fields may come at any time."""


def results_json(results: Sequence[Result], goal: Goal, kernel: str, status: int) -> str:
    """Write one JSON object."""
    document = {
        "version": JSON_VERSION,
        "status": status,
        "kernel": kernel,
        "target": msgspec.to_builtins(goal),
        "checks": [_check(result) for result in results],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _check(result: Result) -> dict[str, Any]:
    check, judgement = result.check, result.judgement
    return {
        "id": check.id,
        "layer": check.layer,
        "scope": check.scope,
        "title": check.title,
        "verdict": judgement.verdict,
        "weight": judgement.weight.name.lower(),
        "current": judgement.current,
        "needed": judgement.needed,
        "formula": judgement.formula,
        "why": judgement.why,
        "source": check.source,
        "references": list(references(check.source).values()),
        "counters": [{"name": one.name, "value": one.value} for one in judgement.counters],
        "remedies": [
            {"kind": one.kind, "do": one.do, "undo": one.undo, "automatic": one.automatic} for one in judgement.remedies
        ],
    }
