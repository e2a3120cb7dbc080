"""A scrape of /metrics, with questions to it."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Difference", "Metrics"]

Sample = tuple[str, dict[str, str], float]
"""The name, the labels and the value."""

_SUFFIX = re.compile("_(total|bucket|count|sum)$")


class Metrics:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._parsed: dict[str, list[Sample]] = {}

    def _samples(self, name: str = "") -> list[Sample]:
        """Return all samples, or at least those of that name: a wait asks page after page for one of hundreds."""
        family = _SUFFIX.sub("", name)
        if family not in self._parsed:
            lines = "\n".join(line for line in self.text.split("\n") if family in line)
            self._parsed[family] = [
                (sample.name, sample.labels, sample.value)
                for each in text_string_to_metric_families(lines)
                for sample in each.samples
            ]
        return self._parsed[family]

    def total(self, name: str, **labels: str) -> float:
        """Add up the samples of that name that have these labels; fails when there is none.

        The parser adds ``_total`` to the names of StatsD counters, which do not have it on the page.
        """
        found = self.values(name, **labels)
        assert found, f"no {name} with {labels} in:\n{self.text}"
        return sum(found)

    def shown(self, series: str) -> float:
        """Return the value behind a series as the page writes it, with its labels in their order."""
        found = [line.rpartition(" ")[2] for line in self.text.splitlines() if line.rpartition(" ")[0] == series]
        assert found, f"no {series} in:\n{self.text}"
        return float(found[0])

    def reached(self, wanted: float, name: str, **labels: str) -> bool:
        """Return whether there is a sample of that name, and the total has come so far."""
        found = self.values(name, **labels)
        return bool(found) and sum(found) >= wanted

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Return the samples of that name that are not 0, added up by the values of one label."""
        result: dict[str, float] = {}
        for sample, has, value in self._samples(name):
            if sample == name and value and all(has.get(key) == wanted for key, wanted in labels.items()):
                result[has[label]] = result.get(has[label], 0) + value
        return result

    def accepted(self, listener: str) -> float:
        """Return the connections that a listener has accepted."""
        return self.total("statscounter_connections_total", listener=listener)

    def closed(self, listener: str) -> dict[str, float]:
        """Return the connections of a listener that have ended, by reason, without the reasons that never came."""
        return self.by("statscounter_connections_closed_total", "reason", listener=listener)

    def samples(self) -> list[tuple[str, dict[str, str]]]:
        """Return the name and the labels of each sample."""
        return [(name, labels) for name, labels, _ in self._samples()]

    def values(self, name: str, **labels: str) -> list[float]:
        """Return the samples of that name that have these labels."""
        return [
            value
            for sample, has, value in self._samples(name)
            if sample in (name, f"{name}_total") and all(has.get(label) == wanted for label, wanted in labels.items())
        ]


class Difference:
    """What two scrapes differ in, for tests that share a service."""

    def __init__(self, before: Metrics, after: Metrics) -> None:
        self._before = before
        self._after = after

    def total(self, name: str, **labels: str) -> float:
        """Return what was added to a total; fails when there is none now."""
        return self._after.total(name, **labels) - sum(self._before.values(name, **labels))

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Return what was added to the samples of that name, by the values of one label, without those that are 0."""
        before = self._before.by(name, label, **labels)
        added = {key: value - before.get(key, 0) for key, value in self._after.by(name, label, **labels).items()}
        return {key: value for key, value in added.items() if value}

    def connections(self, listener: str) -> tuple[float, dict[str, float]]:
        """Return the connections that a listener has accepted, and those that have ended by reason."""
        accepted = self.total("statscounter_connections_total", listener=listener)
        return accepted, self.by("statscounter_connections_closed_total", "reason", listener=listener)

    def lines(self, listener: str) -> tuple[float, float]:
        """Return the lines that a listener has received, and the bytes."""
        labels = {"listener": listener}
        return (
            self.total("statscounter_lines_total", **labels),
            self.total("statscounter_received_bytes_total", **labels),
        )
