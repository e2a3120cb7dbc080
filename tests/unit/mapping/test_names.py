"""Names and labels for Prometheus."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.mapping.names import exposition_name, label_name, name_and_labels
from statsd_tcp.wire.series import series_identity

NAMES = [
    ("clean", "clean"),
    ("0starts_with_digit", "_0starts_with_digit"),
    ("with_underscore", "with_underscore"),
    ("with--two", "with_two"),
    ("with---three-dashes", "with_three_dashes"),
    ("a-.-b", "a___b"),
    ("with.dot", "with_dot"),
    ("with.*.more", "with___more"),
    ("café", "caf_"),
    ("a😱b", "a_b"),
    ("a:b c/d", "a_b_c_d"),
    ("٣", "_"),
    ("", "_"),
]

LABELS = [
    ("code", "code"),
    ("http.code", "http_code"),
    ("le", "exported_le"),
    ("quantile", "exported_quantile"),
    ("__name__", "exported___name__"),
    ("..x", "exported___x"),
    ("_x", "_x"),
    ("9", "_9"),
]

IDENTITIES = [
    ("hits.page", [], ("hits_page", "")),
    ("hits", [("code", "200")], ("hits", '{code="200"}')),
    ("hits", [("b", "2"), ("a", "1")], ("hits", '{a="1",b="2"}')),
    ("hits", [("bare", "")], ("hits", '{bare="true"}')),
    ("hits", [("a.b", "first"), ("a/b", "last")], ("hits", '{a_b="last"}')),
    ("hits", [("a", 'x"y\\z')], ("hits", '{a="x\\"y\\\\z"}')),
    ("hits", [("z", "é😱")], ("hits", '{z="é😱"}')),
]


class NameTests(SynchronousTestCase):
    """From raw to exposed."""

    def test_metric_names(self) -> None:
        """Characters that are not allowed become underscores, as in statsd_exporter."""
        for raw, expected in NAMES:
            with self.subTest(raw=raw):
                self.assertEqual(exposition_name(raw), expected)

    def test_label_names(self) -> None:
        """Labels follow the same rule, and those that Prometheus reserves get a prefix."""
        for raw, expected in LABELS:
            with self.subTest(raw=raw):
                self.assertEqual(label_name(raw), expected)

    def test_identities(self) -> None:
        """Tags become sorted, escaped labels; of two with one name the last counts; bare ones are true."""
        for name, tags, expected in IDENTITIES:
            with self.subTest(name=name, tags=tags):
                self.assertEqual(name_and_labels(series_identity(name, tags)), expected)

    @given(st.text())
    def test_any_name_becomes_valid(self, raw: str) -> None:
        """Whatever the raw name, the metric and label names are in Prometheus' character set."""
        for name in (exposition_name(raw), label_name(raw)):
            self.assertIsNotNone(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name))
