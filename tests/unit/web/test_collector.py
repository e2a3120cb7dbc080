"""The service's own metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.ledger.cells import ACCEPT_ERRNOS, CLOSE_REASONS
from statsd_tcp.web.collector import OwnCollector
from statsd_tcp.wire.reasons import REASONS
from tests.unit.web.fakes import make_own
from tests.unit.web.tables import make_snapshot

NAMES = [
    "connections_total",
    "connections_closed_total",
    "connections_open",
    "accept_errors_total",
    "source_limited_total",
    "accept_paused",
    "received_bytes_total",
    "lines_total",
    "empty_lines_total",
    "datagrams_total",
    "samples_total",
    "bad_lines_total",
    "bad_tags_total",
    "events_total",
    "service_checks_total",
    "recovered_lines_total",
    "batches_total",
    "batches_refused_total",
    "batch_clients",
    "receive_drops_total",
    "accept_queue_length",
    "accept_queue_limit",
    "listen_drops_total",
    "sources",
    "source_share",
    "workers",
    "worker_restarts_total",
    "worker_open_fds",
    "worker_resident_memory_bytes",
    "config_last_reload_successful",
    "reactor_gap_seconds_max",
    "commits_total",
    "commit_duration_seconds_bucket",
    "commit_duration_seconds_sum",
    "commit_duration_seconds_count",
    "last_commit_timestamp_seconds",
    "ledgers_set_aside",
    "journals_waiting",
    "recovery_faults_total",
    "underway_seconds",
    "series",
    "series_expired_total",
    "series_conflicts_total",
    "name_takeovers_total",
    "series_dropped_total",
    "output_sent_total",
    "output_failed_total",
    "output_dropped_total",
    "output_queued",
    "output_queue_used_ratio",
    "output_last_success_timestamp_seconds",
    "output_repeated_total",
    "output_refused_total",
    "output_skipped_total",
    "output_delivered_timestamp_seconds",
    "output_bytes_total",
    "output_request_duration_seconds_bucket",
    "output_request_duration_seconds_sum",
    "output_request_duration_seconds_count",
    "timers_approximated_total",
    "sets_approximated_total",
    "series_merged_total",
    "flushes_set_back_total",
    "mapping_rules",
    "mapping_series_total",
    "store_faults_total",
    "summaries_without_quantiles_total",
    "build_info",
    "store_info",
]


class OwnCollectorTests(SynchronousTestCase):
    """From plain numbers to families."""

    def setUp(self) -> None:
        """Register the collector as a scrape does, and collect once."""
        snapshot = make_snapshot(("c", "a", 1.0), ("c", "b", 1.0), ("h", "d", 1.0))
        collector = OwnCollector(make_own(), snapshot, {"type": 2, "unit": 3})
        self.registry = CollectorRegistry()
        self.registry.register(collector)
        self.families: list[Metric] = list(collector.collect())

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of one sample."""
        return self.registry.get_sample_value(f"statscounter_{name}", labels)

    def label_values(self, name: str, label: str) -> set[str]:
        """Return the values that a label has in the samples of a name."""
        samples = (sample for family in self.families for sample in family.samples)
        return {sample.labels[label] for sample in samples if sample.name == f"statscounter_{name}"}

    def test_outputs(self) -> None:
        """Each output has its numbers under its name."""
        names = {"queued": 3, "queue_used_ratio": 0.25, "sent_total": 40, "failed_total": 5, "dropped_total": 2}
        for name, value in {**names, "last_success_timestamp_seconds": 1.5e9}.items():
            self.assertEqual(self.value(f"output_{name}", output="graphite:h:2003"), value, name)
        self.assertEqual(self.value("series_dropped_total", reason="overflow"), 5)

    def test_remote_write(self) -> None:
        """An output by remote write has what became of its samples, and how long requests took."""
        name = "remote-write:h/w"
        names = {"repeated_total": 1, "refused_total": 2, "delivered_timestamp_seconds": 1.5e9, "bytes_total": 1000}
        for metric, value in {**names, "request_duration_seconds_count": 7}.items():
            self.assertEqual(self.value(f"output_{metric}", output=name), value, metric)
        self.assertEqual(self.value("output_skipped_total", output=name, reason="batch"), 3)
        self.assertEqual(self.value("output_request_duration_seconds_bucket", output=name, le="1.0"), 6)

    def test_the_names_of_the_contract(self) -> None:
        """Every metric is there under its documented name, and no other."""
        written = {sample.name for family in self.families for sample in family.samples}
        self.assertEqual(written, {f"statscounter_{name}" for name in NAMES})

    def test_both_formats_can_be_read(self) -> None:
        """The text format and OpenMetrics are read back by their parsers."""
        text = generate_latest(self.registry).decode()
        openmetrics = generate_openmetrics(self.registry).decode()
        self.assertEqual(len(list(parse_text(text))), len(list(parse_openmetrics(openmetrics))))

    def test_connections(self) -> None:
        """Connections are exact per worker, and added up over the workers where there is no such label."""
        self.assertEqual(self.value("connections_total", listener="tcp:8125", worker="1"), 5)
        self.assertEqual(self.value("connections_closed_total", listener="tcp:8125", reason="eof"), 7)
        self.assertEqual(self.value("connections_open", listener="tcp:8125"), 7)
        self.assertEqual(self.value("accept_errors_total", listener="tcp:8125", errno="EMFILE"), 1)
        self.assertEqual(self.value("accept_paused", listener="tcp:8125"), 1)
        self.assertEqual(self.value("accept_paused", listener="tcp:8888"), 0)

    def test_totals_of_the_past_stay(self) -> None:
        """Totals of a listener and a worker that the service no longer has are still there."""
        self.assertEqual(self.value("connections_total", listener="tcp:gone", worker="7"), 2)
        self.assertEqual(self.value("connections_open", listener="tcp:gone"), 0)

    def test_sources(self) -> None:
        """Sources are counted for each listener, and none is named."""
        self.assertEqual(self.value("sources", listener="tcp:8125"), 3)
        self.assertEqual(self.value("source_share", listener="tcp:8125"), 0.5)
        self.assertEqual(self.value("sources", listener="udp:8125"), 0)

    def test_known_values_begin_with_zero(self) -> None:
        """Every known label value is there before anything happened."""
        self.assertEqual(self.value("connections_total", listener="tcp:8888", worker="1"), 0)
        self.assertEqual(self.label_values("connections_closed_total", "reason"), {*CLOSE_REASONS, "killed"})
        self.assertEqual(self.label_values("accept_errors_total", "errno"), set(ACCEPT_ERRNOS))
        self.assertEqual(self.label_values("bad_lines_total", "reason"), set(REASONS))
        self.assertEqual(self.label_values("samples_total", "type"), {"c", "g", "ms", "h", "d", "s"})
        self.assertEqual(self.value("datagrams_total", listener="udp:8125"), 6)
        self.assertEqual(self.value("bad_tags_total"), 0)

    def test_only_what_a_listener_can_do(self) -> None:
        """Datagram listeners have no connections, streams no datagrams, and count-only ones no lines."""
        streams = {"tcp:8125", "tcp:8888", "tcp:gone"}
        self.assertEqual(self.label_values("connections_open", "listener"), streams)
        self.assertEqual(self.label_values("datagrams_total", "listener"), {"udp:8125"})
        self.assertEqual(self.label_values("lines_total", "listener"), {"tcp:8125", "udp:8125"})

    def test_large_numbers_stay_exact(self) -> None:
        """A total near the limit of a double is written to the last digit."""
        families = parse_text(generate_latest(self.registry).decode())
        written = [sample for family in families for sample in family.samples]
        found = [sample.value for sample in written if sample.name == "statscounter_received_bytes_total"]
        self.assertEqual(found, [2**53 - 1, 0])

    def test_queues_and_workers(self) -> None:
        """Queues are by listener and worker, workers by state or slot."""
        labels = {"listener": "tcp:8125", "worker": "0"}
        queue = [self.value(name, **labels) for name in ("accept_queue_length", "accept_queue_limit")]
        self.assertEqual(queue, [3, 4096])
        self.assertEqual(self.value("listen_drops_total", **labels), 7)
        self.assertEqual(self.value("workers", state="running"), 2)
        self.assertEqual(self.value("worker_restarts_total", reason="signal"), 1)
        self.assertEqual(self.value("worker_open_fds", worker="0"), 20)
        self.assertEqual(self.value("reactor_gap_seconds_max"), 0.25)

    def test_commits(self) -> None:
        """Commits are counted, and their durations are a histogram."""
        self.assertEqual(self.value("commits_total"), 3)
        self.assertEqual(self.value("commit_duration_seconds_bucket", le="0.1"), 1)
        self.assertEqual(self.value("commit_duration_seconds_count"), 3)
        self.assertEqual(self.value("last_commit_timestamp_seconds"), 1.7e9)

    def test_series(self) -> None:
        """Series are counted by type; conflicts of the store and of the exposition add up by reason."""
        self.assertEqual(self.value("series", type="c"), 2)
        self.assertEqual(self.value("series", type="g"), 0)
        self.assertEqual(self.value("series_conflicts_total", reason="negative"), 4)
        self.assertEqual(self.value("series_conflicts_total", reason="unit"), 3)
        self.assertEqual(self.value("series_conflicts_total", reason="type"), 2)
        self.assertEqual(self.value("name_takeovers_total"), 5)
