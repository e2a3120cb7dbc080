"""A scrape of /metrics, with questions to it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Metrics"]


class Metrics:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._samples = [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    def total(self, name: str, **labels: str) -> float:
        """Add up the samples of that name that have these labels; fails when there is none.

        The parser adds ``_total`` to the names of StatsD counters, which don't have it on the page.
        """
        found = self._find(name, labels)
        assert found, f"no {name} with {labels} in:\n{self.text}"
        return sum(found)

    def reached(self, wanted: float, name: str, **labels: str) -> bool:
        """Tell whether there is a sample of that name, and the total has come so far."""
        found = self._find(name, labels)
        return bool(found) and sum(found) >= wanted

    def last_commit_began(self, before: Metrics) -> float:
        """Give when the last commit began, in seconds since 1970; 0 if it is none that came after ``before``."""
        if self.total("statscounter_commits_total") == before.total("statscounter_commits_total"):
            return 0.0
        spent = "statscounter_commit_duration_seconds_sum"
        ended = self.total("statscounter_last_commit_timestamp_seconds")
        return ended - (self.total(spent) - before.total(spent))

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Give the samples of that name that aren't 0, added up by the values of one label."""
        result: dict[str, float] = {}
        for sample, has, value in self._samples:
            if sample == name and value and all(has.get(key) == wanted for key, wanted in labels.items()):
                result[has[label]] = result.get(has[label], 0) + value
        return result

    def accepted(self, listener: str) -> float:
        """Give the connections that a listener has accepted."""
        return self.total("statscounter_connections_total", listener=listener)

    def closed(self, listener: str) -> dict[str, float]:
        """Give the connections of a listener that have ended, by reason, without the reasons that never came."""
        return self.by("statscounter_connections_closed_total", "reason", listener=listener)

    def _find(self, name: str, labels: dict[str, str]) -> list[float]:
        return [
            value
            for sample, has, value in self._samples
            if sample in (name, f"{name}_total") and all(has.get(label) == wanted for label, wanted in labels.items())
        ]
