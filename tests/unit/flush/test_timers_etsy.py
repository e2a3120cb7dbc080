"""The numbers of timers, against etsy's server: skipped without node and the npm package ``statsd``."""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.timers import Histogram, TimerRules, clean_percentile
from tests.npm import node_path
from tests.unit.flush.test_timer_numbers import timer

SCRIPT = Path(__file__).with_name("etsy_timers.js")
INTERVAL = 10


numbers = st.one_of(st.integers(0, 30).map(float), st.decimals(0, 5000, places=2).map(float))
percentiles = st.one_of(st.integers(1, 100), st.integers(-100, -1), st.sampled_from([99.9, 99.95, -0.5, 0.1]))
limits = st.lists(st.sampled_from([1, 5, 10.5, 100]), unique=True, max_size=3).map(sorted)
histograms = st.lists(
    st.fixed_dictionaries({"metric": st.sampled_from(["", "k", "other"]), "bins": limits}), max_size=2
)
fields = st.lists(st.sampled_from(["count", "upper_percent", "lower_percent", "mean", "histogram", "std"]), max_size=3)
cases = st.fixed_dictionaries(
    {
        "key": st.just("k.time"),
        "values": st.lists(numbers, min_size=1, max_size=60),
        "count": st.integers(1, 10_000),
        "percentiles": st.lists(percentiles, max_size=4, unique=True),
        "histogram": histograms,
        "only": fields,
        "interval": st.just(INTERVAL * 1000),
    }
)


def ours(case: dict[str, Any]) -> dict[str, float]:
    """Work out a case."""
    rules = TimerRules(
        percentiles=tuple(map(float, case["percentiles"])),
        histograms=tuple(
            Histogram(each["metric"], tuple((str(limit), float(limit)) for limit in each["bins"]))
            for each in case["histogram"]
        ),
        only=frozenset(case["only"]),
    )
    return timer(case["values"], case["count"], case["key"], rules)


def theirs(batch: list[dict[str, Any]], modules: Path) -> list[dict[str, float | None]]:
    """Have etsy's code work out some cases."""
    done = subprocess.run(
        ["node", str(SCRIPT)],
        input="\n".join(map(json.dumps, batch)),
        env={**os.environ, "NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    results = []
    for line in done.stdout.splitlines():
        result = json.loads(line)
        histogram = result.pop("histogram", {})
        results.append({**result, **{f"histogram.{name}": value for name, value in histogram.items()}})
    return results


def nan_at_etsy(case: dict[str, Any]) -> set[str]:
    """Name what etsy makes no number of: it subtracts the sum below the values, and there is none below all of them."""
    count = len(case["values"])
    all_in = [each for each in case["percentiles"] if each < 0 and math.floor(-each / 100 * count + 0.5) == count > 1]
    return {f"{part}_{clean_percentile(each)}" for each in all_in for part in ("sum", "sum_squares", "mean")}


class EtsyTests(SynchronousTestCase):
    """The same values given to both."""

    @settings(max_examples=20)
    @given(st.lists(cases, min_size=1, max_size=40))
    def test_the_same_numbers(self, batch: list[dict[str, Any]]) -> None:
        """Names and numbers are etsy's, except for the last bits of what is added up in another order."""
        for case, expected in zip(batch, theirs(batch, self.modules), strict=True):
            found = ours(case)
            self.assertEqual(set(found), set(expected), case)
            nan = {name for name, value in expected.items() if value is None}
            self.assertEqual(nan, nan_at_etsy(case) & set(expected), case)
            for name, value in expected.items():
                if value is None:
                    continue
                close = math.isclose(found[name], value, rel_tol=1e-9, abs_tol=1e-9 * found.get("upper", 5000.0) ** 2)
                self.assertTrue(close, f"{name} is {found[name]}, not {value}, of {case}")

    def setUp(self) -> None:
        """Find the package."""
        self.modules = node_path("statsd/lib/process_metrics.js")
