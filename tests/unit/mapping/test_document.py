"""Mapping files: what is read from them, and how wrong ones are refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.mapping.document import DEFAULT_BUCKETS, read_mapping
from statsd_tcp.mapping.rules import PLAIN, Rule, Treatment
from statsd_tcp.mapping.yaml_source import MappingError
from tests.unit.mapping.cases import GOOD, REFUSED


def only_rule(fields: str, defaults: str = "{}") -> Rule:
    """Read a file with one rule of these further lines."""
    lines = "".join(f"  {line}\n" for line in fields.splitlines())
    rules = read_mapping(f"defaults: {defaults}\nmappings:\n- match: a.*\n  name: foo\n{lines}", "m.yml")
    return rules.rules[0]


class RefusalTests(SynchronousTestCase):
    """Files that cannot be meant."""

    def test_each_is_refused_with_its_line(self) -> None:
        """What is wrong is said in one line that begins with the file and the line in it."""
        for text, line, said in REFUSED:
            with self.assertRaises(MappingError) as caught:
                read_mapping(text, "m.yml")
            message = str(caught.exception)
            self.assertTrue(message.startswith(f"m.yml:{line}: "), message)
            self.assertIn(said, message)
            self.assertNotIn("\n", message)

    @given(st.text(alphabet="abm:- \n{}[]'\"*&!%@#|>\\\t0", max_size=60))
    def test_any_text(self, text: str) -> None:
        """Whatever a file holds, it is read or refused in one line."""
        try:
            read_mapping(text, "m.yml")
        except MappingError as error:
            self.assertNotIn("\n", str(error))

    def test_merges_of_merges(self) -> None:
        """A few lines that stand for a great many values are refused, with a line, and so is a table within itself."""
        merges = ["mappings:", "- &r0 {match: a.*, name: b}"]
        merges += [f"- &r{n} {{match: a.*, name: b, <<: [{', '.join([f'*r{n - 1}'] * 9)}]}}" for n in range(1, 9)]
        rules = ["defaults: {buckets: &b [" + ", ".join(map(str, range(1, 451))) + "]}", "mappings:"]
        rules += ["- &r {match: a.*, name: b, buckets: *b}", *["- *r"] * 3000]
        within = ["mappings:", "- &r {match: a.*, name: b, <<: *r}"]
        cases = {"more than 1,000,000 values": (merges, rules), "merges within each other are deeper": (within,)}
        for said, texts in cases.items():
            for lines in texts:
                error = str(self.assertRaises(MappingError, read_mapping, "\n".join(lines), "m.yml"))
                self.assertRegex(error, rf"^m.yml:\d+: .*{said}")

    def test_too_deep(self) -> None:
        """Tables and lists that lie deep within each other are refused where they become too deep."""
        for text, line in (("[" * 100_000, 1), ("a:\n" + "".join(f"{' ' * n}b:\n" for n in range(1, 200)), 32)):
            error = str(self.assertRaises(MappingError, read_mapping, text, "m.yml"))
            self.assertIn(f"m.yml:{line}: not valid YAML: tables and lists within each other are deeper", error)


class RuleTests(SynchronousTestCase):
    """What is read from a good file."""

    def test_the_good_cases_have_no_warnings(self) -> None:
        """Today's keys are accepted silently."""
        for case in GOOD:
            rules = read_mapping(case.text, "m.yml")
            expected = 1 if "timer" in case.text else 0
            self.assertEqual(len(rules.warnings), expected, case.what)

    def test_plain_fields(self) -> None:
        """The simple keys arrive where they belong."""
        rule = only_rule("help: Some text\nhonor_labels: true\nscale: 1e-6\nttl: 1m20s\nlabels: {a: $1}")
        self.assertEqual(rule.treatment, Treatment(help="Some text", ttl=80.0))
        self.assertEqual((rule.honor_labels, rule.scale, rule.labels, rule.line), (True, 1e-6, (("a", "$1"),), 3))

    def test_durations(self) -> None:
        """Durations have Go's units; zero needs none."""
        for text, seconds in (("0", 0.0), ("10s", 10.0), ("1h2m3s", 3723.0), ("1.5h", 5400.0), ("250ms", 0.25)):
            self.assertEqual(only_rule(f"ttl: {text}").treatment.ttl, seconds)
        self.assertAlmostEqual(only_rule("ttl: 3us4µs5ns").treatment.ttl, 7.005e-6)

    def test_the_default_treatment(self) -> None:
        """Without options a series is a summary with three quantiles over ten minutes."""
        treatment = only_rule("").treatment
        self.assertIs(treatment, PLAIN)
        self.assertEqual((treatment.quantiles, treatment.max_age, treatment.age_buckets), ((0.5, 0.9, 0.99), 600.0, 5))

    def test_summary_options(self) -> None:
        """A rule's options win over the defaults, field by field; zero and nothing are no options."""
        defaults = "{summary_options: {quantiles: [{quantile: 0.9, error: 0.1}], max_age: 15m, age_buckets: 3}}"
        partly = only_rule("summary_options: {max_age: 5m, age_buckets: 0, buf_cap: 1000}", defaults)
        self.assertEqual(partly.treatment, Treatment(quantiles=(0.9,), max_age=300.0, age_buckets=3))
        own = "summary_options:\n  quantiles:\n  - {quantile: 0.7, error: 0.002}\n  - {quantile: 0.42, error: 0.04}"
        self.assertEqual(only_rule(own, defaults).treatment.quantiles, (0.42, 0.7))
        self.assertEqual(only_rule("", defaults).treatment.quantiles, (0.9,))

    def test_histogram_options(self) -> None:
        """A histogram has its rule's buckets, else the defaults', else the usual ones; infinity is understood."""
        for fields, defaults, buckets in (
            ("observer_type: histogram", "{}", DEFAULT_BUCKETS),
            ("", "{observer_type: histogram}", DEFAULT_BUCKETS),
            ("observer_type: histogram", "{histogram_options: {buckets: []}}", DEFAULT_BUCKETS),
            ("", "{observer_type: histogram, histogram_options: {buckets: [.1, 1]}}", (0.1, 1.0)),
            ("histogram_options: {buckets: [1, 1e2, +Inf]}", "{observer_type: histogram}", (1.0, 100.0)),
        ):
            self.assertEqual(only_rule(fields, defaults).treatment.buckets, buckets)
        self.assertIsNone(only_rule("observer_type: summary", "{observer_type: histogram}").treatment.buckets)

    def test_defaults_for_what_no_rule_is_for(self) -> None:
        """The defaults also hold for series that are not mapped."""
        rules = read_mapping("defaults: {observer_type: histogram, ttl: 5m}\n", "m.yml")
        self.assertEqual(rules.default, Treatment(buckets=DEFAULT_BUCKETS, ttl=300.0))

    def test_ttl_of_zero_is_the_default_one(self) -> None:
        """A rule cannot take a default time to live away, only change it."""
        self.assertEqual(only_rule("ttl: 0", "{ttl: 1m2s}").treatment.ttl, 62.0)
        self.assertEqual(only_rule("ttl: 5s", "{ttl: 1m2s}").treatment.ttl, 5.0)

    def test_old_names(self) -> None:
        """What has been renamed since is read, with a warning that names the line and the new name."""
        text = (
            "defaults:\n  timer_type: histogram\n  buckets: [1, 2]\nmappings:\n- match: a.*\n  name: foo\n"
            "- match: b.*\n  name: bar\n  timer_type: summary\n  quantiles: [{quantile: 0.4, error: 0.1}]\n"
            "- match: c.*\n  name: baz\n  observer_type: summary\n  timer_type: histogram\n"
            "  summary_options: {max_summary_age: 30s, summary_age_buckets: 3, stream_buffer_size: 9}\n"
        )
        rules = read_mapping(text, "m.yml")
        first, second, third = (rule.treatment for rule in rules.rules)
        self.assertEqual(first.buckets, (1.0, 2.0))
        self.assertEqual((second.buckets, second.quantiles), (None, (0.4,)))
        self.assertEqual((third.buckets, third.max_age, third.age_buckets), (None, 30.0, 3))
        self.assertEqual(len(rules.warnings), 8)
        self.assertEqual(rules.warnings[0], "m.yml:2: timer_type is an old name; today it is observer_type")

    def test_warnings(self) -> None:
        """What does nothing here, or less than it says, is accepted with a warning."""
        for fields, said in (
            ("observer_type: histogram\nhistogram_options: {native_histogram_bucket_factor: 1.1}", "native"),
            ("observer_type: histogram\nhistogram_options: {native_histogram_max_buckets: 256}", "native"),
            ("histogram_options: {buckets: [1]}", "do nothing"),
            ("labels: {le: x}", "exported_le"),
        ):
            lines = "".join(f"  {line}\n" for line in fields.splitlines())
            (warning,) = read_mapping(f"mappings:\n- match: a\n  name: foo\n{lines}", "m.yml").warnings
            self.assertIn(said, warning)
