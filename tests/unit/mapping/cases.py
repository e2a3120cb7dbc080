"""What statsd_exporter does with mapping files: facts from its documentation and its own tests, in our words.

Each case is a file, and for some names what becomes of them: the name and labels, or None where no rule is for it.
"""

from __future__ import annotations

from typing import NamedTuple

from statsd_tcp.mapping.rules import MetricType

__all__ = ["GOOD", "REFUSED", "Expected", "GoodCase"]


class Expected(NamedTuple):
    """What a rule makes of a name: a metric name (None: no rule is for it; "": it is dropped) and labels."""

    raw: str
    name: str | None
    labels: dict[str, str] = {}
    metric_type: MetricType = "counter"


class GoodCase(NamedTuple):
    """A file that is accepted, and what it does."""

    what: str
    text: str
    expected: tuple[Expected, ...]


GOOD = (
    GoodCase("an empty file", "", (Expected("a.b", None),)),
    GoodCase("only a marker", "---\n", (Expected("a.b", None),)),
    GoodCase(
        "stars stand for one field each",
        """
mappings:
- match: jobs.*.*.*
  name: jobs_done
  labels: {queue: $1, action: "${2}", result: $3, source: jobs}
- match: jobs.host-01.named.*.x
  name: host_jobs
  labels: {job: $1}
""",
        (
            Expected(
                "jobs.Mail.send.ok", "jobs_done", {"queue": "Mail", "action": "send", "result": "ok", "source": "jobs"}
            ),
            Expected("jobs.host-01.named.q.x", "host_jobs", {"job": "q"}),
            Expected("jobs.Mail.send", None),
            Expected("jobs.Mail.send.ok.more", None),
            Expected("JOBS.Mail.send.ok", None),
        ),
    ),
    GoodCase(
        "more than nine stars, and an empty last field",
        """
mappings:
- match: t.*.*.*.*.*.*.*.*.*.*.*
  name: many
  labels: {first: "$1", tenth: "${10}", eleventh: "${11}", plain: "$10"}
""",
        (Expected("t.get/a/1.2.3.4.5.6.7.8.9.x.", "many", {"first": "get/a/1", "tenth": "x", "plain": "x"}),),
    ),
    GoodCase(
        "a reference to nothing is empty, and a label without a value is none",
        """
mappings:
- match: "*.*"
  name: two
  labels: {first: $1, third: $3, all: $1-$2-$3, zero: $0}
- match: one.*.x
  name: longest
  labels: {glued: $1_foo, braced: "${1}_foo"}
""",
        (
            Expected("foo.bar", "two", {"first": "foo", "all": "foo-bar-"}),
            Expected("one.a.x", "longest", {"braced": "a_foo"}),
            Expected("foo.bar.baz", None),
        ),
    ),
    GoodCase(
        "without an order the most specific glob wins, also when that takes going back",
        """
defaults: {glob_disable_ordering: true}
mappings:
- match: b.*.bbb
  name: starred
  labels: {label: "${1}_foo"}
- match: b.just.aaa
  name: literal
  labels: {label: "${1}_foo"}
- match: s.*.*
  name: s_both
- match: s.*.bbb
  name: s_one
- match: s.ccc.bbb
  name: s_none
""",
        (
            Expected("b.good.bbb", "starred", {"label": "good_foo"}),
            Expected("b.just.bbb", "starred", {"label": "just_foo"}),
            Expected("b.just.aaa", "literal", {"label": "_foo"}),
            Expected("s.a.bbb", "s_one"),
            Expected("s.ccc.bbb", "s_none"),
            Expected("s.ccc.ddd", "s_both"),
        ),
    ),
    GoodCase(
        "in order the first glob wins, and keeps its own captures",
        """
mappings:
- match: "*.dummy.*"
  name: one
  labels: {system: $1, attribute: $2}
- match: full.name.*
  name: two
  labels: {system: static, attribute: $1}
- match: order.*.*
  name: both
- match: order.*.bbb
  name: never
""",
        (
            Expected("whatever.dummy.test", "one", {"system": "whatever", "attribute": "test"}),
            Expected("full.name.anothertest", "two", {"system": "static", "attribute": "anothertest"}),
            Expected("order.good.bbb", "both"),
        ),
    ),
    GoodCase(
        "fields may begin with digits, but for the first",
        """
mappings:
- match: test.99.app.*
  name: a
- match: test.99x.app.*
  name: b
- match: k.s-t.brokerPort.9092.id-0-1.1MinuteRate.gauge
  name: c
""",
        (
            Expected("test.99.app.create", "a"),
            Expected("test.99x.app.create", "b"),
            Expected("k.s-t.brokerPort.9092.id-0-1.1MinuteRate.gauge", "c"),
        ),
    ),
    GoodCase(
        "a single star",
        "mappings: [{match: '*', name: single, labels: {label: '${1}'}}]",
        (
            Expected("test", "single", {"label": "test"}),
            Expected("test.x", None),
        ),
    ),
    GoodCase(
        "dashes",
        'mappings: [{match: "foo--bar.*", name: "foo_bar_${1}"}]',
        (Expected("foo--bar.count", "foo_bar_count"),),
    ),
    GoodCase(
        "names from what was matched, made valid",
        r"""
mappings:
- match: one.*.*
  name: "$1"
- match: two.*.*
  name: "${1}_$2"
- match: three\.(\w+)\.(\w+)
  match_type: regex
  name: "${2}_$1"
- match: four.*
  name: "$1"
""",
        (
            Expected("one.total_requests.count", "total_requests"),
            Expected("one.a-b.count", "a_b"),
            Expected("one.5xx.count", "_5xx"),
            Expected("two.total_requests.count", "total_requests_count"),
            Expected("three.total_requests.count", "count_total_requests"),
            Expected("four.", ""),
        ),
    ),
    GoodCase(
        "regular expressions come after all globs, and match anywhere",
        r"""
mappings:
- match: (.*)\.(.*)-(.*)\.(.*)
  match_type: regex
  name: proxied
  labels: {job: $1, protocol: $2, endpoint: $3, result: $4}
- match: "p.*.q"
  name: glob
- match: needle
  match_type: regex
  name: found
  labels: {whole: $0}
- match: (a)|(b)
  match_type: regex
  name: either
  labels: {first: "$1.", second: "$2."}
""",
        (
            Expected(
                "proxy-1.http-goober.success",
                "proxied",
                {"job": "proxy-1", "protocol": "http", "endpoint": "goober", "result": "success"},
            ),
            Expected("p.x-y.q", "glob"),
            Expected("hay.needle.hay", "found", {"whole": "needle"}),
            Expected("xb", "either", {"first": ".", "second": "b."}),
        ),
    ),
    GoodCase(
        "the whole name as a label",
        'mappings: [{match: ".+", match_type: regex, name: "$0", labels: {raw: "$0"}}]',
        (Expected("my.statsd_counter", "my_statsd_counter", {"raw": "my.statsd_counter"}),),
    ),
    GoodCase(
        "named groups, escapes, and the syntax of RE2",
        r"""
defaults: {match_type: regex}
mappings:
- match: '^(?P<who>[[:alpha:]]+)\.(?i:HITS)\z'
  name: hits
  labels: {who: "${who}", price: "$$1"}
""",
        (
            Expected("alice.hits", "hits", {"who": "alice", "price": "$1"}),
            Expected("al1ce.hits", None),
        ),
    ),
    GoodCase(
        "metric types",
        """
mappings:
- match: t.*
  name: t_sum
  match_metric_type: counter
- match: t.*
  name: t_current
  match_metric_type: gauge
- match: r.x
  match_type: regex
  match_metric_type: observer
  name: r_time
- match: o.*
  match_metric_type: timer
  name: o_time
""",
        (
            Expected("t.a", "t_sum", {}, "counter"),
            Expected("t.a", "t_current", {}, "gauge"),
            Expected("t.a", None, {}, "observer"),
            Expected("r.x", None, {}, "gauge"),
            Expected("r.x", "r_time", {}, "observer"),
            Expected("o.x", "o_time", {}, "observer"),
        ),
    ),
    GoodCase(
        "dropping what no rule is for",
        """
mappings:
- match: web.*
  name: web
  labels: {site: $1}
- match: .
  match_type: regex
  action: drop
  name: dropped
""",
        (Expected("test.a", ""), Expected("abc", ""), Expected("web.localhost", "web", {"site": "localhost"})),
    ),
    GoodCase(
        "dropping by a glob, without a name",
        "mappings: [{match: noise.*, action: drop}, {match: noise.a, name: never}]",
        (Expected("noise.a", ""),),
    ),
    GoodCase(
        "values that YAML does not take for texts, and anchors",
        """
mappings:
- &first
  match: a.*
  name: a
  labels: {code: 200, yes: true, nothing: null}
- <<: *first
  match: b.*
""",
        (
            Expected("a.x", "a", {"code": "200", "yes": "true"}),
            Expected("b.x", "a", {"code": "200", "yes": "true"}),
        ),
    ),
)

REFUSED = (
    ("mappings:\n- match: bad!!line.*\n  name: foo\n", 2, "is not a glob"),
    ("mappings:\n- match: 9lives.*\n  name: foo\n", 2, "is not a glob"),
    ("mappings:\n- match: ''\n  name: foo\n", 2, "is not a glob"),
    ("mappings:\n- match: a.*\n  name: 0foo\n", 3, "is not a metric name"),
    ("mappings:\n- match: a.*\n  name: foo-bar\n", 3, "is not a metric name"),
    ("mappings:\n- match: a.*\n  labels: {a: $1}\n", 2, "no name"),
    ("mappings:\n- name: foo\n", 2, "no match"),
    ("mappings:\n- match: *.test.*\n  name: foo\n", 2, "not valid YAML"),
    ('mappings:\n- match: "test\\.(\\w+)"\n  match_type: regex\n  name: foo\n', 2, "not valid YAML"),
    ("mappings:\n- match: '*\\.foo'\n  match_type: regex\n  name: foo\n", 2, "invalid regular expression"),
    ("mappings:\n- match: a(?=b)\n  match_type: regex\n  name: foo\n", 2, "invalid regular expression"),
    ("mappings:\n- match: a.*\n  name: foo\n  observer_type: wrong\n", 4, "'wrong' is none of summary, histogram"),
    ("mappings:\n- match: a.*\n  name: foo\n  match_type: wrong\n", 4, "none of glob, regex"),
    ("mappings:\n- match: a.*\n  name: foo\n  action: xyz\n", 4, "none of map, drop"),
    ("mappings:\n- match: a.*\n  name: foo\n  match_metric_type: set\n", 4, "none of counter, gauge, observer"),
    ("mappings:\n- match: a.*\n  name: foo\n  buckets_: [1]\n", 4, "unknown key 'buckets_'"),
    ("mappings:\n- match: a.*\n  name: foo\n  name: bar\n", 4, "given twice"),
    ("mappings:\n- match: a.*\n  name: foo\n  labels: {no-label: a}\n", 4, "is not a label name"),
    ("mappings:\n- match: a.*\n  name: foo\n  labels: [a]\n", 4, "a table of keys"),
    ("mappings:\n- match: a.*\n  name: foo\n  labels: {a: [b]}\n", 4, "a text is expected"),
    ("mappings: {a: b}\n", 1, "a list is expected"),
    ("rules: []\n", 1, "unknown key 'rules'; there are defaults, mappings"),
    ("- a\n", 1, "a table of keys"),
    ("mappings:\n- match: a.*\n  name: foo\n  ttl: 30\n", 4, "not a duration"),
    ("mappings:\n- match: a.*\n  name: foo\n  ttl: -5s\n", 4, "not a duration"),
    ("mappings:\n- match: a.*\n  name: foo\n  scale: .nan\n", 4, "is not a number"),
    ("mappings:\n- match: a.*\n  name: foo\n  scale: 1e300\n", 4, "is not a number"),
    ("mappings:\n- match: a.*\n  name: foo\n  scale: -1\n", 4, "a counter never falls"),
    ("mappings:\n- match: a.*\n  name: foo\n  scale: -1\n  match_metric_type: counter\n", 4, "a counter never falls"),
    ("mappings:\n- match: a.*\n  name: foo\n  honor_labels: maybe\n", 4, "neither true nor false"),
    ("mappings:\n- match: a.*\n  name: foo\n  histogram_options:\n    buckets: [2, 1]\n", 5, "buckets must grow"),
    ("mappings:\n- match: a.*\n  name: foo\n  histogram_options:\n    buckets: [1, +Inf, 2]\n", 5, "must grow"),
    (
        "mappings:\n- match: a.*\n  name: foo\n  summary_options:\n    quantiles: [{quantile: 1.5, error: 0.1}]\n",
        5,
        "'1.5' is not a number from 0 to 1",
    ),
    (
        "mappings:\n- match: a.*\n  name: foo\n  summary_options:\n    quantiles: [{error: 0.1}]\n",
        5,
        "the quantile is missing",
    ),
    (
        "mappings:\n- match: a.*\n  name: foo\n  summary_options:\n    age_buckets: 1000\n",
        5,
        "whole number from 0 to 100",
    ),
    (
        "mappings:\n- match: a.*\n  name: foo\n  observer_type: histogram\n  summary_options: {max_age: 5m}\n",
        2,
        "is histogram, but there are summary_options",
    ),
    (
        "mappings:\n- match: a.*\n  name: foo\n  observer_type: summary\n  histogram_options: {buckets: [1]}\n",
        2,
        "is summary, but there are histogram_options",
    ),
    (
        (
            "mappings:\n- match: a.*\n  name: foo\n  timer_type: histogram\n  buckets: [1]\n"
            "  histogram_options: {buckets: [1]}\n"
        ),
        2,
        "buckets are given twice",
    ),
    (
        (
            "mappings:\n- match: a.*\n  name: foo\n  timer_type: summary\n  quantiles: [{quantile: 0.4, error: 0.1}]\n"
            "  summary_options: {quantiles: [{quantile: 0.4, error: 0.1}]}\n"
        ),
        2,
        "quantiles are given twice",
    ),
)
"""Texts that are refused: the line at fault, and a part of what is said."""
