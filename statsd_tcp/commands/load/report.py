"""The result of a run: as a table for people, as JSON for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text

from statsd_tcp.commands.load.histogram import histogram
from statsd_tcp.commands.load.options import LoadOptions
from statsd_tcp.commands.load.results import OWN_FAILURES, Latencies, Outcome, Result
from statsd_tcp.commands.load.verify import Finding, Verdict
from statsd_tcp.commands.load.workload import Mode

__all__ = ["Report"]

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 100.0)
_LABELS = {"p50": "median", "p100": "max"}
# Above this share of its processes' time the generator, not the server, sets the speed.
BUSY = 0.9
# A run that was shorter than this, in seconds, says nothing about speed.
TELLING = 0.5


@dataclass(frozen=True, slots=True)
class Report:
    """Everything there is to say about a run. ``trouble`` are lines about what went wrong around it."""

    options: LoadOptions
    result: Result
    findings: list[Finding] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)

    @property
    def status(self) -> int:
        """The exit status: of the verification if there was to be one, else of the connections."""
        if self.trouble:
            return Verdict.UNKNOWN.status
        if self.options.verify:
            worst = max(self.findings, key=lambda finding: list(Verdict).index(finding.verdict))
            return worst.verdict.status
        if self.result.own_failures:
            return Verdict.UNKNOWN.status
        return Verdict.WRONG.status if self.result.failed else Verdict.EXACT.status

    @property
    def busy(self) -> float:
        """The share of its time, of all its processes, that the generator was working."""
        return self.result.cpu / (self.result.elapsed * self.options.processes)

    def remarks(self) -> list[str]:
        """Return what the figures do not show by themselves, most of all where the generator fell short."""
        result, remarks = self.result, list(self.trouble)
        if result.own_failures:
            names = ", ".join(f"{count:,} {name}" for name, count in result.errors.items() if name in OWN_FAILURES)
            remarks.append(f"the generator's own failures, not the server's: {names}")
        what = "sends" if self.options.workload.mode is Mode.KEPT else "connections"
        worst = f"{result.worst_lag * 1000:,.0f} ms"
        if result.behind:
            remarks.append(
                f"the generator did not hold the schedule: {result.behind:,} {what} began more than 10 ms "
                f"late, because it was busy (the worst {worst}); try a lower --rate or more --processes"
            )
        if result.held_back:
            remarks.append(
                f"the schedule was not held: {result.held_back:,} {what} began more than 10 ms late, because "
                f"as many as --concurrency allows were open (the worst {worst})"
            )
        if self.options.workload.rate is None and self.busy > BUSY and result.elapsed > TELLING:
            remarks.append(f"the generator was {self.busy:.0%} busy: the rate may be its own limit, not the server's")
        return remarks

    def as_json(self) -> str:
        """Write the report as one JSON object."""
        return json.dumps(self._plain(), indent=2)

    def _plain(self) -> dict[str, object]:
        result, work = self.result, self.options.workload
        return {
            "target": self.options.target,
            "mode": work.mode,
            "close": work.close,
            "confirm": work.confirm,
            "mix": self._mix() if work.mix else None,
            "proxy": work.proxy and work.proxy.version,
            "rate": work.rate,
            "elapsed_seconds": round(result.elapsed, 6),
            "connections": {
                "begun": result.begun,
                "completed": result.completed,
                **{outcome.replace(" ", "_"): count for outcome, count in result.failures.items()},
                "errors": result.errors,
                "established": result.established,
                "seen_accepted": result.certain,
                "per_second": round(result.completed / result.elapsed, 1),
            },
            "lines": {
                "sent": result.lines,
                "seen_accepted": result.certain_lines,
                "per_second": round(result.lines / result.elapsed, 1),
                "bytes": result.sent_bytes,
                "sends": result.sends,
            },
            "latency_ms": self._latency(),
            "latency_buckets_ms": [
                {"from": round(least * 1000, 3), "to": round(most * 1000, 3), "count": count}
                for least, most, count in Latencies(result.latencies).buckets()
            ],
            "schedule": {
                "held": not (result.behind or result.held_back),
                "behind": result.behind,
                "held_back": result.held_back,
                "worst_lag_ms": round(result.worst_lag * 1000, 3),
            },
            "generator": {
                "processes": self.options.processes,
                "sources": len(work.sources),
                "cpu_seconds": round(result.cpu, 3),
                "busy": round(self.busy, 3),
            },
            "verify": self._verification(),
            "remarks": self.remarks(),
            "status": self.status,
        }

    def _mix(self) -> list[dict[str, object]]:
        begun, completed = self.result.begun_of, self.result.completed_of
        return [{"kind": kind, "begun": begun[kind], "completed": completed[kind]} for kind in self._kinds()]

    def _kinds(self) -> list[str]:
        return list(dict.fromkeys(shape.name for shape in self.options.workload.shapes.shapes))

    def _latency(self) -> dict[str, float]:
        latencies = Latencies(self.result.latencies)
        figures = {f"p{percent:g}": latencies.percentile(percent) for percent in PERCENTILES}
        figures["mean"] = latencies.mean
        return {"count": latencies.count, **{name: round(value * 1000, 3) for name, value in figures.items()}}

    def _verification(self) -> list[dict[str, object]] | None:
        if not self.options.verify:
            return None
        return [
            {
                "what": finding.what,
                "counted": finding.counted,
                "least": finding.expected.least,
                "most": finding.expected.most,
                "verdict": finding.verdict,
                "text": finding.text,
            }
            for finding in self.findings
        ]

    def print_table(self, console: Console) -> None:
        """Print the report for people."""
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for name, value, note in self._rows():
            table.add_row(Text(name), Text(value, justify="right"), Text(note))
        console.print(table)
        for row in histogram(Latencies(self.result.latencies).buckets(), console.width, console.encoding):
            console.print(Text(row), soft_wrap=True)
        for remark in self.remarks():
            console.print(Text(f"! {remark}"), soft_wrap=True)
        for finding in self.findings:
            console.print(self._sentence(finding), soft_wrap=True)

    def _rows(self) -> list[tuple[str, str, str]]:
        result, work = self.result, self.options.workload
        kept = work.mode is Mode.KEPT
        rate = "as fast as possible" if work.rate is None else f"{work.rate:,g} a second"
        ending = "" if work.mix else f", close {work.close}" + (", confirmed" if work.confirm else "")
        header = f", PROXY {work.proxy.version}" if work.proxy else ""
        speed = "" if kept else f"{result.completed / result.elapsed:,.0f}/s "
        rows = [
            (self.options.target, f"{result.begun:,}", f"{work.mode}, {rate}{ending}{header}"),
            *(self._kind_rows() if work.mix else ()),
            ("completed", f"{result.completed:,}", f"{speed}in {result.elapsed:.2f} s"),
            *((str(name), f"{count:,}", "") for name, count in result.failures.items() if self._is_possible(name)),
            *((f"  {name}", f"{count:,}", "") for name, count in result.errors.items()),
        ]
        if work.mode is not Mode.CONNECT:
            rows.append(("lines", f"{result.lines:,}", f"{result.lines / result.elapsed:,.0f}/s"))
        latency = self._latency()
        of = "send" if kept else "latency"
        if latency.pop("count"):
            rows += [(f"{of} {_LABELS.get(name, name)}", f"{ms:,.3f}", "ms") for name, ms in latency.items()]
        return rows

    def _kind_rows(self) -> list[tuple[str, str, str]]:
        begun, completed = self.result.begun_of, self.result.completed_of
        return [(f"  {kind}", f"{begun[kind]:,}", f"{completed[kind]:,} completed") for kind in self._kinds()]

    def _is_possible(self, outcome: Outcome) -> bool:
        return outcome is not Outcome.UNCONFIRMED or self.options.workload.confirm

    def _sentence(self, finding: Finding) -> Text:
        head = f"{finding.verdict}: {finding.counted:,} {finding.what} counted"
        least, most = finding.expected
        expected = f"{most:,} expected" if least == most else f"{least:,} to {most:,} expected"
        return Text(f"{head}, {expected}: {finding.text}", style="" if finding.verdict is Verdict.EXACT else "bold")
