"""Lines and what they mean, each with the reason why.

A meaning is written like this:

* ``c a=1``: one sample of the counter ``a``; with its weight, if that is not 1, ``ms a=5 x10``;
* ``g a=5`` sets a gauge, ``g a+=5`` and ``g a+=-5`` change it;
* ``c a{k=v,bare=}=1``: tags in the order of their keys;
* ``c a=1; c a=2``: several samples; ``c a=1 (1 bad)``: a tag was left out;
* ``c a=1 !unknown_type``: another sample of the line was rejected, with the reason;
* ``!malformed_line``: rejected, with the reason; ``event``, ``service_check``, ``empty``.

Sources: "4" is what docs/protocol.md says, "own rule" where no other server decides it; other servers are named where
their behaviour was followed or, on purpose, was not.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from statsd_tcp.wire.line import Parsed
from statsd_tcp.wire.samples import Sample
from statsd_tcp.wire.series import split_identity

__all__ = ["ALL", "Case", "meaning", "wrong"]


class Case(NamedTuple):
    """A line, what it means, and why."""

    line: bytes
    meaning: str
    why: str


def meaning(parsed: Parsed) -> str:
    """Write down what was read."""
    if parsed.what == "bad":
        return f"!{parsed.reason}"
    if parsed.what != "samples":
        return parsed.what
    bad = f" ({parsed.bad_tags} bad)" if parsed.bad_tags else ""
    partly = f" !{parsed.reason}" if parsed.reason else ""
    return "; ".join(_sample(sample) for sample in parsed.samples) + bad + partly


def _sample(sample: Sample) -> str:
    name, tags = split_identity(sample.series)
    written = "{" + ",".join(f"{key}={value}" for key, value in tags) + "}" if tags else ""
    value = sample.value if isinstance(sample.value, str) else f"{sample.value:.17g}"
    weight = "" if sample.weight == 1.0 else f" x{sample.weight:.17g}"
    return f"{sample.kind} {name}{written}{'+=' if sample.relative else '='}{value}{weight}"


def wrong(found: dict[Case, str]) -> list[str]:
    """Return the cases of which something else was found."""
    return [
        f"{case.line!r}: {text!r}, not {case.meaning!r} ({case.why})"
        for case, text in found.items()
        if text != case.meaning
    ]


def _cases(*rows: tuple[bytes, str, str]) -> tuple[Case, ...]:
    return tuple(Case(*row) for row in rows)


TYPES: Final = _cases(
    (b"gorets:1|c", "c gorets=1", "agreement core: every server takes it"),
    (b"gaugor:333|g", "g gaugor=333", "agreement core"),
    (b"glork:320|ms", "ms glork=320", "agreement core"),
    (b"uniques:765|s", "s uniques=765", "etsy"),
    (b"a:5|h", "h a=5", "DogStatsD; etsy would count it as a counter"),
    (b"a:5|d", "d a=5", "DogStatsD; etsy would count it as a counter"),
    (b"a:0.5|c", "c a=0.5", "etsy, statsd_exporter; gostatsd and telegraf make it 0"),
    (b"a:-1|c", "c a=-1", "etsy and most; statsd_exporter drops it, here the output decides"),
    (b"a:+1|c", "c a=1", "4: a finite decimal may have a sign"),
    (b"a:-5|ms", "ms a=-5", "all but etsy and telegraf"),
    (b"a:+5|ms", "ms a=5", "all but telegraf"),
    (b"a:-5|h", "h a=-5", "4: a histogram may have negative values"),
    (b"a:0|c", "c a=0", "4"),
    (b"a:-0|c", "c a=0", "own rule: zero has no sign"),
    (b"a:1|C", "!unknown_type", "netdata and brubeck know C; 4: six types, in lower case"),
    (b"a:1|m", "!unknown_type", "netdata's meter; 4"),
    (b"a:1|kv", "!unknown_type", "statsite's key/value; 4"),
    (b"a:1|ct", "!unknown_type", "veneur goes by the first letter; 4"),
    (b"a:1|msx", "!unknown_type", "4"),
    (b"a:1|x", "!unknown_type", "4; etsy counts it as a counter"),
    (b"a:1| c", "c a=1", "etsy HEAD cuts blanks off"),
    (b"a:1|c ", "c a=1", "etsy HEAD cuts blanks off"),
    (b"a:1|1", "!unknown_type", "4"),
    (b"a:1|@0.1", "!unknown_type", "the type is missing: the rate stands in its place"),
    (b"a:1|#k", "!unknown_type", "the type is missing: the tags stand in its place"),
    (b"a:1|#k:v", "!unknown_type", "so it is with a colon"),
)

STRUCTURE: Final = _cases(
    (b"envoy.outbound|80||x.total:1|g", "g envoy.outbound|80||x.total=1", "as etsy: a name of Envoy's"),
    (b"", "empty", "4: empty lines are skipped and counted apart"),
    (b"\r", "empty", "4: one carriage return is dropped"),
    (b"\r\r", "!malformed_line", "4: only one"),
    (b"a:1|c\r", "c a=1", "4: one carriage return is dropped; statsd_exporter rejects it on UDP"),
    (b"a:1|c\r\r", "c a=1", "etsy HEAD cuts blanks off, a carriage return is one"),
    (b"a:1|c|@0.5\r", "c a=2 x2", "4: wherever the line ends"),
    (b"a:1|c|#k:v\r", "c a{k=v}=1", "4: not part of the tag, as in veneur"),
    (b"a:b|s\r", "s a=b", "4"),
    (b"a:1\r|c", "c a=1", "etsy HEAD cuts blanks off"),
    (b"a\r:1|c", "c a\r=1", "4: names stay raw"),
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 8125\r", "!proxy_header", "balancers"),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 8125\r", "!proxy_header", "balancers"),
    (b"PROXY UNKNOWN\r", "!proxy_header", "balancers"),
    (b"PROXY TCP4 \xff", "!not_utf8", "which comes first"),
    (b"PROXY TCP4 :1|c", "c PROXY TCP4 =1", "a name like any other"),
    (b"PROXY TCP5 1", "!malformed_line", "no family"),
    (b"a", "!malformed_line", "netdata counts it as a meter; 4"),
    (b" ", "!malformed_line", "4"),
    (b":", "!malformed_line", "no type"),
    (b"|", "!malformed_line", "no colon"),
    (b"::", "!malformed_line", "no type"),
    (b"||", "!malformed_line", "no colon"),
    (b"a:", "!malformed_line", "no type"),
    (b"a:1", "!malformed_line", "no type"),
    (b"a:1:2", "!malformed_line", "no type"),
    (b"a:1|", "!malformed_line", "an empty type is none"),
    (b"a:1||c", "!malformed_line", "an empty type is none"),
    (b"a|c", "!malformed_line", "netdata makes it 1; 4"),
    (b"a|c:1", "!malformed_line", "own rule: a bar before the first colon is no name"),
    (b"a|b:1|c", "c a|b=1", "as etsy and statsd_exporter: the name ends at the first colon, whatever is in it"),
    (b"|a:1|c", "c |a=1", "as etsy"),
    (b"a1|c:1|c", "c a1|c=1", "as etsy"),
    (b":1|c", "!empty_name", 'statsd_exporter; etsy counts the key ""'),
    (b":1|x", "!empty_name", "precedence: empty_name before unknown_type"),
    (b":|c", "!empty_name", "precedence: empty_name before malformed_value"),
    (b":1", "!malformed_line", "precedence: malformed_line before empty_name"),
    (b" :1|c", "c  =1", "4: names stay raw"),
    (b"a b:1|c", "c a b=1", "4: names stay raw; brubeck rejects a blank"),
    (b"a/b:1|c", "c a/b=1", "4: names stay raw"),
    (b"a.:1|c", "c a.=1", "4: names stay raw; brubeck rejects a final dot"),
    (b"_a:1|c", "c _a=1", "gostatsd rejects the underscore"),
    (b"_:1|c", "c _=1", "4"),
    (b"a\x00b:1|c", "c a\x00b=1", "4: names stay raw, outputs sanitise"),
    (b"hasOwnProperty:1|ms", "ms hasOwnProperty=1", "kills etsy's process"),
    (b"constructor:1|c", "c constructor=1", "NaN in etsy"),
    (b"__proto__:1|c", "c __proto__=1", "a name like any other"),
    (b"a:1|c|", "c a=1", "an empty section is nothing; the DogStatsD family takes it"),
    (b"a:1|c||", "c a=1", "an empty section is nothing"),
    (b"a:1|c||#k:v", "c a{k=v}=1", "an empty section is nothing"),
    (b"a:1|c|@0.1|", "c a=10 x10", "etsy takes it, too"),
    (b"a:1|c|0.1", "!malformed_line", "own rule: a rate without @ must not be ignored"),
    (b"a:1|c|k:v", "c a=1", "4: unknown sections are ignored"),
    (b"a:1|c|%", "!malformed_line", "own rule: sections begin with @, # or a letter"),
    (b"a:1|c|:1", "!malformed_line", "own rule: sections begin with @, # or a letter"),
    (b"a:1|c| #k:v", "!malformed_line", "4: blanks are bad"),
    (b"a:1|c|-", "!malformed_line", "own rule"),
    (b"a:1|c|\xc3\xa9", "!malformed_line", "own rule: a letter is one of ASCII"),
    (b"cexample:1|c", "c cexample=1", "glued lines that still are one line cannot be told"),
    (b"a:1|cb:1|c", "!unknown_type", 'glued lines: the type is "cb"'),
    (b"a:1|c|@0.1b:1|c", "!invalid_sample_rate", "glued lines"),
)

VALUES: Final = _cases(
    (b"a:|c", "!malformed_value", "brubeck makes it 0, netdata 1; 4"),
    (b"a:|ms", "!malformed_value", "4"),
    (b"a:|g", "!malformed_value", "4"),
    (b"a:|s", "!malformed_value", 'own rule: an empty member is more likely a mistake; etsy makes it "0"'),
    (b"a:x|c", "!malformed_value", "4"),
    (b"a:1abc|c", "!malformed_value", "statsite and netdata make it 1"),
    (b"a:1e3|c", "c a=1000", "4: 1e3 is a decimal; etsy, statsd_exporter"),
    (b"a:1E3|c", "c a=1000", "4"),
    (b"a:1e+3|c", "c a=1000", "4"),
    (b"a:-1e-3|g", "g a+=-0.001", "4"),
    (b"a:1e-400|c", "c a=0", "4: finite, and nothing"),
    (b"a:.5|c", "c a=0.5", "4: a decimal may begin with its point"),
    (b"a:5.|c", "c a=5", "4: a decimal may end with its point"),
    (b"a:.|c", "!malformed_value", "4"),
    (b"a:+|c", "!malformed_value", "4"),
    (b"a:-|g", "!malformed_value", "4"),
    (b"a:--5|g", "!malformed_value", "4"),
    (b"a:+-5|g", "!malformed_value", "4"),
    (b"a:1e|c", "!malformed_value", "4"),
    (b"a:e3|c", "!malformed_value", "4"),
    (b"a:1.2.3|c", "!malformed_value", "4"),
    (b"a:1,5|c", "!malformed_value", "4: a comma is no point"),
    (b"a:007|c", "c a=7", "leading zeros are decimal; etsy, statsd_exporter"),
    (b"a: 5|c", "c a=5", "etsy HEAD cuts blanks off"),
    (b"a:5 |c", "c a=5", "etsy HEAD cuts blanks off"),
    (b"a:  |c", "!malformed_value", "etsy makes it 0"),
    (b"a:\t5|c", "c a=5", "etsy HEAD cuts blanks off"),
    (b"a:1_000|c", "!malformed_value", "4: underscores are bad, though Python takes them"),
    (b"a:0x10|c", "!malformed_value", "4: hex is bad; etsy makes it 16"),
    (b"a:0b11|c", "!malformed_value", "etsy makes it 3"),
    (b"a:0o17|c", "!malformed_value", "etsy makes it 15"),
    (b"a:0x1p4|c", "!malformed_value", "Go makes it 16"),
    (b"a:NaN|c", "!malformed_value", "poisons statsd_exporter's counter"),
    (b"a:nan|g", "!malformed_value", "4"),
    (b"a:Infinity|c", "!malformed_value", "etsy takes it"),
    (b"a:inf|ms", "!malformed_value", "4"),
    (b"a:-inf|g", "!malformed_value", "4"),
    (b"a:1e400|c", "!malformed_value", "etsy makes it Infinity"),
    (b"a:\xd9\xa1|c", "!malformed_value", "4: an Arabic digit is none, though Python takes it"),
    (b"a:9007199254740992|c", "c a=9007199254740992", "4: 2**53 is the limit"),
    (b"a:-9007199254740992|c", "c a=-9007199254740992", "4"),
    (b"a:9007199254740994|c", "!malformed_value", "4: above 2**53"),
    (b"a:1e16|g", "g a=10000000000000000", "a setting is added to nothing: any finite float"),
    (b"a:1e16|ms", "!malformed_value", "4: above 2**53"),
    (b"a:-1e300|h", "!malformed_value", "4: above 2**53"),
    (b"a:000000000000000000000000000001|c", "c a=1", "long, but small"),
    (b"a:999999999999999|c", "c a=999999999999999", "15 digits"),
    (b"a:9999999999999999|c", "!malformed_value", "16 digits can be too much"),
    (b"a:" + b"9" * 5000 + b"|c", "!malformed_value", "no number of digits is a problem"),
    (b"a:0." + b"3" * 5000 + b"|c", "c a=0.33333333333333331", "no number of digits is a problem"),
)

GAUGES: Final = _cases(
    (b"a:1764298601123456789|g", "g a=1.7642986011234568e+18", "as etsy: nanoseconds since 1970"),
    (b"a:9223372036854771712|g", "g a=9.2233720368547717e+18", "as etsy: a cgroup without a limit"),
    (b"a:1.7e308|g", "g a=1.6999999999999999e+308", "any finite float"),
    (b"a:1e309|g", "!malformed_value", "which this is not"),
    (b"a:+1e20|g", "!malformed_value", "a change is added to a gauge that is kept"),
    (b"a:-1e20|g", "!malformed_value", "a change is added to a gauge that is kept"),
    (b"a: +5 |g", "g a+=5", "blanks are cut off before a sign is looked for"),
    (b"a:5| g ", "g a=5", "etsy HEAD cuts blanks off"),
    (b"a:0|g:-5|g", "g a=0; g a+=-5", "how a negative value is set in one line"),
    (b"a:+5|g", "g a+=5", "4: a sign changes the gauge"),
    (b"a:-5|g", "g a+=-5", "4: a sign changes the gauge"),
    (b"a:5|g", "g a=5", "4: without a sign it is set"),
    (b"a:0|g", "g a=0", "4"),
    (b"a:-9223372036854775808|g", "g a+=-9.2233720368547758e+18", "Flink's watermark before it has one"),
    (b"a:+18446744073709551616|g", "g a+=1.8446744073709552e+19", "2**64 is the limit of a change"),
    (b"a:+0|g", "g a+=0", "4"),
    (b"a:-0|g", "g a+=0", "4"),
    (b"a:+.5|g", "g a+=0.5", "4"),
    (b"a:1.5|g", "g a=1.5", "4"),
    (b"a:1|g|@0.1", "g a=1", "4: the rate is checked and ignored; netdata divides by it"),
    (b"a:+1|g|@0.1", "g a+=1", "4: the rate is checked and ignored"),
    (b"a:1|g|@0", "!invalid_sample_rate", "4: the rate is checked"),
    (b"a:1e15|g|@0.01", "g a=1000000000000000", "4: the limit is not applied after a rate that has no effect"),
    (
        b"a:1:+2:-3|g",
        "g a+=-3 !malformed_line",
        "as etsy: a value without a type is a bad sample, and no part of a sum",
    ),
    (b"a:5|g:+1|g", "g a=5; g a+=1", "etsy's multi-samples"),
)

ABSOLUTE: Final = _cases(
    (b"a:+5|g", "g a=5", "4: dialect=dogstatsd takes signed values as absolute"),
    (b"a:-5|g", "g a=-5", "4: the way to set a negative gauge"),
    (b"a:5|g", "g a=5", "4"),
    (b"a:1:-2|g", "g a=1; g a=-2", "4"),
    (b"a:1|c:-2|g", "c a=1; g a=-2", "4: also in later samples"),
    (b"a:-1|c", "c a=-1", "only gauges differ"),
)

RATES: Final = _cases(
    (b"a:1|c|@0.1", "c a=10 x10", "4: a sampled counter adds value/rate"),
    (b"a:3|c|@0.1", "c a=30 x10", "4"),
    (b"a:1|c|@0.3", "c a=3.3333333333333335 x3.3333333333333335", "4: as a double"),
    (b"a:-2|c|@0.5", "c a=-4 x2", "4"),
    (b"a:1|c|@1", "c a=1", "4: 1 is allowed"),
    (b"a:1|c|@1.0", "c a=1", "4"),
    (b"a:1|c|@1e-1", "c a=10 x10", "etsy reads it as 1"),
    (b"a:5|ms|@0.1", "ms a=5 x10", "4: a sampled timer has a weight, never repetition"),
    (b"a:5|h|@0.5", "h a=5 x2", "4"),
    (b"a:5|d|@0.25", "d a=5 x4", "4"),
    (b"a:x|s|@0.5", "s a=x", "4: checked and ignored on sets"),
    (b"a:x|s|@2", "!invalid_sample_rate", "4: checked on sets"),
    (b"a:1|c|@0", "!invalid_sample_rate", "etsy makes it Infinity"),
    (b"a:1|c|@0.0", "!invalid_sample_rate", "4"),
    (b"a:1|c|@-0.5", "!invalid_sample_rate", "4; telegraf takes it"),
    (b"a:1|c|@2", "!invalid_sample_rate", "4; etsy makes it 0.5"),
    (b"a:1|c|@1.0000001", "!invalid_sample_rate", "4"),
    (b"a:1|c|@x", "!invalid_sample_rate", "statsd_exporter keeps the sample with rate 1"),
    (b"a:1|c|@", "!invalid_sample_rate", "4"),
    (b"a:1|c|@NaN", "!invalid_sample_rate", "4"),
    (b"a:1|c|@inf", "!invalid_sample_rate", "4"),
    (b"a:1|c|@ 0.1", "c a=10 x10", "own rule: as blanks around values"),
    (b"a:1|c|@0.1 ", "c a=10 x10", "own rule: as blanks around values"),
    (b"a:1|c|@1e-9", "c a=999999999.99999988 x999999999.99999988", "1/rate as a double"),
    (b"a:1|ms|@1e-9", "ms a=1 x999999999.99999988", "10**9 loops in statsd_exporter and telegraf"),
    (b"a:1|c|@1e-300", "!invalid_sample_rate", "4: stands for more than 2**53 events"),
    (b"a:0|c|@1e-300", "!invalid_sample_rate", "4: even if it adds nothing"),
    (b"a:1|g|@1e-300", "!invalid_sample_rate", "4: checked alike on gauges"),
    (b"a:1e10|c|@1e-6", "!malformed_value", "4: above 2**53 after the rate"),
    (b"a:1e10|ms|@1e-6", "!malformed_value", "4: its sum would be above 2**53"),
    (b"a:99999999999999|c|@0.001", "!malformed_value", "14 digits are too much after such a rate"),
    (b"a:1|c|@0.1|@0.5", "c a=2 x2", "4: of a repeated section the last wins; statsd_exporter multiplies"),
    (b"a:1|c|@x|@0.5", "c a=2 x2", "4: the last wins, whatever was before"),
    (b"a:1|c|@0.5|@x", "!invalid_sample_rate", "4: the last wins"),
    (b"a:1|c|#k:v|@0.1", "c a{k=v}=10 x10", "4: sections in any order; etsy loses the rate"),
    (b"a:1|c|@0.1|#k:v", "c a{k=v}=10 x10", "4: sections in any order"),
    (
        b"a:1:2|c|@0.5",
        "c a=4 x2 !malformed_line",
        "as etsy: a value without a type is a bad sample, and no part of a sum",
    ),
)

SAMPLES: Final = _cases(
    (b"a:1:2:3|ms", "ms a=3 !malformed_line", "as etsy: a value without a type is a bad sample, and no part of a sum"),
    (b"a:1:2:3|c", "c a=3 !malformed_line", "as etsy: a value without a type is a bad sample, and no part of a sum"),
    (b"a:1:2|h|@0.5", "h a=1 x2; h a=2 x2", "DogStatsD"),
    (b"a:1:2|d|#k:v", "d a{k=v}=1; d a{k=v}=2", "DogStatsD"),
    (
        b"a:1:-2:3e1|c",
        "c a=30 !malformed_line",
        "as etsy: a value without a type is a bad sample, and no part of a sum",
    ),
    (b"a:1:|c", "!malformed_value", "an empty value is bad"),
    (b"a::1|c", "c a=1 !malformed_line", "as etsy: a value without a type is a bad sample, and no part of a sum"),
    (b"a:1::2|c", "c a=2 !malformed_line", "as etsy: a value without a type is a bad sample, and no part of a sum"),
    (b"a:1:x:3|ms", "ms a=3 !malformed_line", "as etsy: a value without a type is a bad sample, and no part of a sum"),
    (b"a:1:1e16|ms", "!malformed_value", "4: the limit is for each"),
    (b"a:1|c:2|ms", "c a=1; ms a=2", "etsy's multi-samples"),
    (b"a:1|c:2|c:3|c", "c a=1; c a=2; c a=3", "etsy's multi-samples"),
    (
        b"a:1|c:2:3|ms",
        "c a=1; ms a=3 !malformed_line",
        "as etsy: a value without a type is a bad sample, and no part of a sum",
    ),
    (
        b"a:1:2|c:3:4|h",
        "c a=2; h a=3; h a=4 !malformed_line",
        "as etsy: a value without a type is a bad sample, and no part of a sum; h is a type of DogStatsD",
    ),
    (b"a:1|c|@0.1:2|c|@0.5", "c a=10 x10; c a=4 x2", "4: a rate belongs to its sample"),
    (b"a:1|c|@0.1:2|ms", "c a=10 x10; ms a=2", "4: a colon in the rate field begins a sample"),
    (
        b"a:1|c|@0.1:2",
        "c a=10 x10 !malformed_line",
        "as etsy: a value without a type is a bad sample, and no part of a sum",
    ),
    (b"a:1|c:2", "c a=1 !malformed_line", "as etsy: a value without a type is a bad sample, and no part of a sum"),
    (b"a:1|c:", "c a=1 !malformed_line", "as etsy: a value without a type is a bad sample, and no part of a sum"),
    (b"a:1|c:|c", "!malformed_value", "an empty value is bad"),
    (b"a:1|c:2|", "!malformed_line", "an empty type is none"),
    (b"a:1|c:2||c", "!malformed_line", "an empty type is none"),
    (b"a:1|:2|c", "!malformed_line", "an empty type is none"),
    (b"a:1|c:x|c", "!malformed_value", "own rule: one line, one verdict"),
    (b"a:x|c:1|c", "!malformed_value", "own rule: one line, one verdict"),
    (b"a:1|c:2|x", "!unknown_type", "own rule: one line, one verdict"),
    (b"a:1|x:2|c", "!unknown_type", "own rule: one line, one verdict"),
    (b"a:1|c|@0:2|c", "!invalid_sample_rate", "own rule: one line, one verdict"),
    (b"a:1|c:2|c|@0", "!invalid_sample_rate", "own rule: one line, one verdict"),
    (b"a:1|c:2|ms|#k:v", "c a{k=v}=1; ms a{k=v}=2", "own rule: tags belong to the line"),
    (b"a:1|c|#k:v|@0.5:2|c", "c a{k=v}=2 x2; c a{k=v}=2", "own rule: tags belong to the line"),
    (b"a:1|c|#k:v|@0.5:2|c|#k:w", "c a{k=w}=2 x2; c a{k=w}=2", "4: of repeated sections the last"),
    (b"a:1|ms|c:abc", "ms a=1", "4: a colon in another section begins no sample"),
    (b"a:1|c|#k:v:2|c", "c a{k=v:2}=1", '4: nor one in tags; then "c" is an unknown section'),
    (b"a:1|c:2|c|T17:3|c", "c a=1; c a=2", "4: nor one in unknown sections"),
    (b"a:1|ms:2|h", "!unit_conflict", "own rule: a line that contradicts itself"),
    (b"a:1|d:2|ms", "!unit_conflict", "own rule"),
    (b"a:1|h:2|d", "h a=1; d a=2", "both have no unit"),
    (b"a:1|c:2|g:3|ms:m|s", "c a=1; g a=2; ms a=3; s a=m", "all types may be mixed but for units"),
    (b"a:x|ms:2|h", "!unit_conflict", "precedence: unit_conflict before malformed_value"),
    (b"a:1|ms|@0:2|h", "!unit_conflict", "precedence: unit_conflict before invalid_sample_rate"),
    (b"a:1|x|@0", "!unknown_type", "precedence: unknown_type before invalid_sample_rate"),
    (b"a:x|c|@0", "!invalid_sample_rate", "precedence: invalid_sample_rate before malformed_value"),
)

PACKED: Final = _cases(
    (b"a:1:2:3|ms|#", "ms a=1; ms a=2; ms a=3", "DogStatsD 1.1 packs values; a section of tags shows it"),
    (b"a:1:2:3|c|c:x", "c a=1; c a=2; c a=3", "DogStatsD; statsd_exporter rejects packed counters"),
    (b"a:1:2|ms|T17", "ms a=1; ms a=2", "a timestamp shows it"),
    (b"a:1:2|ms|e:x", "ms a=1; ms a=2", "any of its sections shows it"),
    (b"a:1:2|h", "h a=1; h a=2", "so does a type that only its clients send"),
    (b"a:1:2|d", "d a=1; d a=2", "so does a type that only its clients send"),
    (b"a:1:+2:-3|g|#k:v", "g a{k=v}=1; g a{k=v}+=2; g a{k=v}+=-3", "DogStatsD packs gauges, too; their order holds"),
    (b"a:1:2|c|@0.5|#k:v", "c a{k=v}=2 x2; c a{k=v}=4 x2", "the rate holds for all packed values"),
    (b"a:1:-2:3e1|c|#", "c a=1; c a=-2; c a=30", "each is a decimal of its own"),
    (b"a:1:2:|h", "h a=1; h a=2", "DogStatsD, statsd_exporter: an empty place is skipped"),
    (b"a::1|h", "h a=1", "an empty place is skipped"),
    (b"a:1::2|c|#", "c a=1; c a=2", "an empty place is skipped"),
    (b"a: 1 :2 |h", "h a=1; h a=2", "blanks are cut off"),
    (b"a::|h", "!malformed_value", "nothing is no value"),
    (b"a: : |h", "!malformed_value", "nothing is no value"),
    (b"a:1:x:3|ms|#", "!malformed_value", "one verdict for packed values, as DogStatsD has it"),
    (b"a:1|c:2:3|ms|#", "c a=1; ms a=2; ms a=3", "own rule: multi-samples may be packed"),
    (b"a:1:2|c:3:4|ms|#", "c a=1; c a=2; ms a=3; ms a=4", "own rule"),
    (b"a,k=v:1:2|h", "h a{k=v}=1; h a{k=v}=2", "whatever the style of the tags"),
    (b"up.db1:5432:12|ms", "ms up.db1=12 !malformed_line", "as etsy: a port in a name is no value"),
    (b"up.db1:5432:12|ms|@0.5", "ms up.db1=12 x2 !malformed_line", "a rate is no sign of DogStatsD"),
    (b"run_-1:3:7|c", "c run_-1=7 !malformed_line", "as etsy"),
    (b"h:fe80::1:3|g", "g h=3 !malformed_line", "as etsy"),
)

SETS: Final = _cases(
    (b"a:b|s", "s a=b", "etsy"),
    (b"a:b:c|s", "s a=b:c", "4: members keep their colons; DogStatsD tests it"),
    (b"a::|s", "s a=:", "4: members keep their colons"),
    (b"a:::1|s", "s a=::1", "an IPv6 address is a member"),
    (b"a:127.0.0.1:8125|s", "s a=127.0.0.1:8125", "4"),
    (b"a: |s", "s a= ", "members stay raw"),
    (b"a:-5|s", "s a=-5", "members stay raw"),
    (b"a:NaN|s", "s a=NaN", "a member is no number"),
    (b"a:1e999|s", "s a=1e999", "a member is no number"),
    (b"a:\xc3\xa9|s", "s a=\u00e9", "UTF-8"),
    (b"a:b|s|#k:v", "s a{k=v}=b", "4"),
    (b"a:b|s:c|s", "s a=b; s a=c", "as etsy and telegraf"),
    (b"a:b|s|@0.5:c|s", "s a=b; s a=c", "as etsy and telegraf"),
    (b"a:b|s:1|c", "s a=b; c a=1", "as etsy and telegraf"),
    (b"a:b|s:c:d|s", "s a=b; s a=c:d", "members keep their colons in every sample"),
    (b"a:b|s:c", "s a=b !malformed_line", "as etsy: a value without a type is a bad sample"),
    (b"a:b|s:", "s a=b !malformed_line", "as etsy: a value without a type is a bad sample"),
    (b"a:b|s:c|x", "!unknown_type", "own rule: one line, one verdict"),
    (b"a:b|s:|s", "!malformed_value", "own rule: a member is not empty"),
    (b"a:b|sb:c|s", "!unknown_type", 'glued lines: the type is "sb"'),
    (b"a:1|c:b:c|s", "c a=1; s a=b:c", "the last sample may be a set, its member keeps its colons"),
    (b"a:1|c:|s", "!malformed_value", "own rule: a member is not empty"),
    (b"a:b|S", "!unknown_type", "4"),
)

SECTIONS: Final = _cases(
    (b"a:1|c|c:83c0a99c0a54", "c a=1", "DogStatsD's container"),
    (b"a:1|c|T1656581400", "c a=1", "DogStatsD's timestamp: ignored, the time of arrival counts"),
    (b"a:1|c|e:it-false,cn-x", "c a=1", "DogStatsD's external data"),
    (b"a:1|c|card:low", "c a=1", "DogStatsD's cardinality"),
    (b"a:1|c|x:anything: at all", "c a=1", "4: unknown sections are ignored; DogStatsD tests it"),
    (b"a:1|c|#k:v|c:abc|T12", "c a{k=v}=1", "4"),
    (b"a:1|c|c:abc|#k:v|@0.5", "c a{k=v}=2 x2", "4: in any order"),
    (b"a:1|c|c|ms|g", "c a=1", "4: unknown sections, by the look of them"),
    (b"a:1|c|k=v", "c a=1", "4"),
)

TAGS: Final = _cases(
    (b"posts#index:1|c", "c posts#index=1", "as etsy: two names"),
    (b"posts#show:2|c", "c posts#show=2", "as etsy: two names"),
    (b"disk[0].used:5|g", "g disk[0].used=5", "as etsy"),
    (b"Foo#bar:12|ms", "ms Foo#bar=12", "as etsy: a method of Ruby"),
    (b"Foo#bar,k=v:1|c", "c Foo#bar{k=v}=1", "the delimiter with a pair behind it begins the tags"),
    (b"Foo#bar;k=v:1|c", "c Foo#bar{k=v}=1", "a key has no delimiter of another style"),
    (b"disk[0].used,k=v:1|c", "c disk[0].used{k=v}=1", "brackets without pairs are no tags"),
    (b"disk[0].used[k=v]:1|c", "c disk[0].used{k=v}=1", "nor do they hide others"),
    (b"[a][k=v][b]:1|c", "c [a][b]{k=v}=1", "nor do they begin tags once more"),
    (b"a;b;k=v:1|c", "c a{k=v}=1 (1 bad)", "a bad tag beside a good one costs only itself"),
    (b"a,b[k=v]c:1|c", "c a,bc{k=v}=1", "a key has no delimiter of another style"),
    (b"a=b,c=d]e:1|c", "c a=b,c=d]e=1 (1 bad)", "statsd_exporter: half a pair of brackets leaves all in the name"),
    (b"p:1|c|#env:prod,#role:web", "c p{env=prod,role=web}=1", "Datadog's client for PHP"),
    (b"p:1|c|###k:v", "c p{k=v}=1", "however often"),
    (b"p:1|c|#k:#v", "c p{k=#v}=1", "only before a key"),
    (b"p:1|c|#k=", "c p=1 (1 bad)", "no value, though there is a sign"),
    (b"p:1|c|#=v", "c p=1 (1 bad)", "no key"),
    (b"p:1|c|#k=v:w", "c p{k=v=w}=1", "a colon counts before an equals sign"),
    (b"p:1|c|#a:1|#b:2|@0.5|#c:3", "c p{a=1,b=2,c=3}=2 x2", "the tags of all sections"),
    (b"p:1|c|#a:1|#a:2", "c p{a=2}=1", "of a repeated key the last wins"),
    (b"Join(a=[b], c=[d]).x:1|g", "g Join(a=[b], c=[d]).x=1", "Flink: behind a comma and a blank there is text"),
    (b"a,k=v, l=w:1|c", "c a,k=v, l=w=1", "one key with a blank makes text of all"),
    (b"a[b c=d]e:1|c", "c a[b c=d]e=1", "in brackets, too"),
    (b"a,b\tc=d:1|c", "c a,b\tc=d=1", "whichever blank"),
    (b"a[b c=d]e,k=v:1|c", "c a[b c=d]e{k=v}=1", "other tags count"),
    (b"a b,k=v w:1|c", "c a b{k=v w}=1", "names and values may have blanks"),
    (b"a:1|c|#k:v", "c a{k=v}=1", "4"),
    (b"a:1|c|#k:v,l:w", "c a{k=v,l=w}=1", "4"),
    (b"a:1|c|#l:w,k:v", "c a{k=v,l=w}=1", "the order of tags makes no difference"),
    (b"a:1|c|#bare", "c a{bare=}=1", "4; statsd_exporter drops it"),
    (b"a:1|c|#bare,k:v", "c a{bare=,k=v}=1", "4"),
    (b"a:1|c|#", "c a=1", "4: an empty section is fine; vector rejects it"),
    (b"a:1|c|#,", "c a=1 (2 bad)", "4: a bad tag costs only itself"),
    (b"a:1|c|#k:v,", "c a{k=v}=1 (1 bad)", "4"),
    (b"a:1|c|#,k:v", "c a{k=v}=1 (1 bad)", "4"),
    (b"a:1|c|#k:v,,l:w", "c a{k=v,l=w}=1 (1 bad)", "4"),
    (b"a:1|c|#:v", "c a=1 (1 bad)", "no key"),
    (b"a:1|c|#k:", "c a=1 (1 bad)", "no value, though there is a colon"),
    (b"a:1|c|#:", "c a=1 (1 bad)", "neither"),
    (b"a:1|c|#k:v:w", "c a{k=v:w}=1", "all but etsy: the first colon counts"),
    (b"a:1|c|#k:=v", "c a{k==v}=1", "4"),
    (b"a:1|c|#k=v", "c a{k=v}=1", "as etsy and Graphite read it; DogStatsD makes a bare tag of it"),
    (b"a:1|c|#k:v,k:w", "c a{k=w}=1", "4: of a repeated key the last wins"),
    (b"a:1|c|#k,k:w", "c a{k=w}=1", "4: of a repeated key the last wins"),
    (b"a:1|c|#k:v,k", "c a{k=}=1", "4: of a repeated key the last wins"),
    (b"a:1|c|#k:v,k:", "c a{k=v}=1 (1 bad)", "a bad tag replaces nothing"),
    (b"a:1|c|# k : v ", "c a{ k = v }=1", "tags stay raw"),
    (b"a:1|c|#k:v|#l:w", "c a{k=v,l=w}=1", "statsd_exporter: the tags of all sections"),
    (b"a:1|c|#k:v|#", "c a{k=v}=1", "the tags of all sections"),
    (b"a:1|c|##", "c a=1 (1 bad)", "a tag without a key"),
    (b"a:1|c|#\xc3\xa9:\xc3\xbc", "c a{\u00e9=\u00fc}=1", "UTF-8"),
    (b"a:1:2|ms|#k:,l:w", "ms a{l=w}=1; ms a{l=w}=2 (1 bad)", "counted once for the line"),
    (b"a,k=v:1|c", "c a{k=v}=1", "InfluxDB"),
    (b"a,k=v,l=w:1|c", "c a{k=v,l=w}=1", "InfluxDB"),
    (b"a,l=w,k=v:1|c", "c a{k=v,l=w}=1", "the order of tags makes no difference"),
    (b"a#k=v:1|c", "c a{k=v}=1", "Librato"),
    (b"a#k=v,l=w:1|c", "c a{k=v,l=w}=1", "Librato"),
    (b"a;k=v:1|c", "c a{k=v}=1", "Graphite"),
    (b"a;k=v;l=w:1|c", "c a{k=v,l=w}=1", "Graphite"),
    (b"a[k=v]:1|c", "c a{k=v}=1", "SignalFX"),
    (b"a[k=v,l=w]b:1|c", "c ab{k=v,l=w}=1", "SignalFX: anywhere in the name"),
    (b"[k=v]a:1|c", "c a{k=v}=1", "SignalFX: anywhere in the name"),
    (b"a,:1|c", "c a,=1", "as etsy: without key=value behind it the delimiter belongs to the name"),
    (b"a#:1|c", "c a#=1", "as etsy: without key=value behind it the delimiter belongs to the name"),
    (b"a;:1|c", "c a;=1", "as etsy: without key=value behind it the delimiter belongs to the name"),
    (b"a[]:1|c", "c a[]=1", "as etsy: without key=value behind it the delimiter belongs to the name"),
    (b"a,k:1|c", "c a,k=1", "as etsy: without key=value behind it the delimiter belongs to the name"),
    (b"a,k=:1|c", "c a,k==1", "as etsy: without key=value behind it the delimiter belongs to the name"),
    (b"a,=v:1|c", "c a,=v=1", "as etsy: without key=value behind it the delimiter belongs to the name"),
    (b"a,=:1|c", "c a,==1", "as etsy: without key=value behind it the delimiter belongs to the name"),
    (b"a,k=v,:1|c", "c a{k=v}=1 (1 bad)", "4: a bad tag costs only itself"),
    (b"a,,k=v:1|c", "c a{k=v}=1 (1 bad)", "4"),
    (b"a;;:1|c", "c a;;=1", "as etsy: without key=value behind it the delimiter belongs to the name"),
    (b"a,k=v=w:1|c", "c a{k=v=w}=1", "the first = counts"),
    (b"a,k=v,k=w:1|c", "c a{k=w}=1", "4: of a repeated key the last wins"),
    (b"a;k=v,l=w:1|c", "c a{k=v,l=w}=1", "own rule: the first delimiter decides; a comma may be in a Graphite value"),
    (b"a,k=v;l=w:1|c", "c a{k=v;l=w}=1", "own rule: the first delimiter decides"),
    (b"a#k=v[w]:1|c", "c a{k=v[w]}=1", "own rule: the first delimiter decides"),
    (b"a,k=#v:1|c", "c a{k=#v}=1", "own rule: the first delimiter decides"),
    (b"a[k=v:1|c", "c a[k=v=1 (1 bad)", "statsd_exporter: a bracket that is not closed stays in the name"),
    (b"a[k=v:1|c|#l:w", "c a[k=v{l=w}=1 (1 bad)", "and is no other style of tags"),
    (b"a]:1|c", "c a]=1", "a closing bracket alone is nothing special"),
    (b"a[k=v]]:1|c", "c a]{k=v}=1", "a closing bracket alone is nothing special"),
    (b"a[k=v],l=w:1|c", "!mixed_tagging_styles", "own rule: tags begin once more"),
    (b"a[k=v][l=w]:1|c", "!mixed_tagging_styles", "own rule: tags begin once more"),
    (b"a[k=v]#:1|c", "c a#{k=v}=1", "nothing begins tags once more"),
    (b"a,k=v:1|c|#l:w", "!mixed_tagging_styles", "statsd_exporter"),
    (b"a#k=v:1|c|#l", "!mixed_tagging_styles", "statsd_exporter"),
    (b"a;k=v:1|c|#k:v", "!mixed_tagging_styles", "statsd_exporter"),
    (b"a[k=v]:1|c|#l:w", "!mixed_tagging_styles", "statsd_exporter"),
    (b"a,k=v:1|c|#", "c a{k=v}=1", "4: an empty section is fine"),
    (b"a,k=v:1|c|#,", "c a{k=v}=1 (2 bad)", "bad tags are not another style"),
    (b"a,k:1|c|#l:w", "c a,k{l=w}=1", "as etsy: without key=value behind it the delimiter belongs to the name"),
    (b",k=v:1|c", "!empty_name", "4"),
    (b"#k=v:1|c", "!empty_name", "4"),
    (b";k=v:1|c", "!empty_name", "4"),
    (b"[k=v]:1|c", "!empty_name", "4"),
    (b",k=v:1|c|#l:w", "!empty_name", "precedence: empty_name before mixed_tagging_styles"),
    (b"a,k=v:1|x|#l:w", "!mixed_tagging_styles", "precedence: mixed_tagging_styles before unknown_type"),
    (b"a,k=v:1|s", "s a{k=v}=1", "4"),
    (b"a,k=v:1|c:2|ms", "c a{k=v}=1; ms a{k=v}=2", "4"),
    (
        b"a,k=v:1:2|ms",
        "ms a{k=v}=2 !malformed_line",
        "as etsy: a value without a type is a bad sample, and no part of a sum",
    ),
    (b"a,k=b:c:1|c", "c a{k=b}=1 !malformed_line", "the first colon ends the name: no tag style escapes it"),
    (b"a,\xc3\xa9=\xc3\xbc:1|c", "c a{\u00e9=\u00fc}=1", "UTF-8"),
)

NO_TAG_STYLES: Final = _cases(
    (b"a,k=v:1|c", "c a,k=v=1", "off: its characters are ordinary"),
    (b"a#k=v:1|c", "c a#k=v=1", "off"),
    (b"a;k=v:1|c", "c a;k=v=1", "off"),
    (b"a[k=v]:1|c", "c a[k=v]=1", "off"),
    (b"a:1|c|#k:v", "c a=1", "off: ignored as unknown sections are"),
    (b"a:1|c|#,", "c a=1", "off: nothing to be bad"),
    (b"a,k=v:1|c|#k:v", "c a,k=v=1", "off: nothing to mix"),
    (b"a:1|c|@0.5|#k:v", "c a=2 x2", "off"),
)

DOGSTATSD: Final = _cases(
    (b"a:1:2:3|ms", "ms a=1; ms a=2; ms a=3", "values are packed"),
    (b"a:1:2|c", "c a=1; c a=2", "of every type but sets"),
    (b"a:1:-2|g", "g a=1; g a=-2", "of every type but sets"),
    (b"a:b:c|s", "s a=b:c", "but not of sets"),
    (b"a:1|c|#k:v", "c a{k=v}=1", "its own style of tags"),
    (b"a,k=v:1|c", "c a,k=v=1", "and no other"),
    (b"a;k=v#l=w[m=x]:1|c|#k:v", "c a;k=v#l=w[m=x]{k=v}=1", "and no other: nothing to mix"),
    (b"a:1|c|c:ci-x", "c a=1", "the container is ignored"),
)

STATSD_EXPORTER: Final = _cases(
    (b"a:1:2|ms", "ms a=1; ms a=2", "values of timers are packed"),
    (b"a:1:2|c", "c a=2 !malformed_line", "those of counters are not; statsd_exporter rejects the line"),
    (b"a:+5|g", "g a+=5", "a sign changes a gauge"),
    (b"a,k=v:1|c", "c a{k=v}=1", "InfluxDB"),
    (b"a#k=v:1|c", "c a{k=v}=1", "Librato"),
    (b"a[k=v]b:1|c", "c ab{k=v}=1", "SignalFX"),
    (b"a;k=v:1|c", "c a;k=v=1", "it does not know Graphite's tags"),
    (b"mem:5|g|#s:w|c:ci-aaa", "g mem{container_id=ci-aaa,s=w}=5", "the container is a label"),
    (b"mem,s=w:5|g|c:ci-aaa", "g mem{container_id=ci-aaa,s=w}=5", "beside tags of any style"),
    (b"mem:5|g|c:", "g mem=5", "no container, no label"),
)

UTF8: Final = _cases(
    (b"\xc3\xa9t\xc3\xa9:1|c", "c \u00e9t\u00e9=1", "4: UTF-8; etsy on TCP takes seven bits"),
    (b"\xe9t\xe9:1|c", "!not_utf8", "4: Latin-1"),
    (b"a:1|c|#k:\xe9", "!not_utf8", "4"),
    (b"a:\xe9|s", "!not_utf8", "4"),
    (b"a:\xe9|c", "!not_utf8", "precedence: not_utf8 before malformed_value"),
    (b"a:1|\xe9", "!not_utf8", "precedence: not_utf8 before unknown_type"),
    (b"\xe9", "!not_utf8", "precedence: not_utf8 before malformed_line"),
    (b"a:1|c|x:\xe9", "!not_utf8", "the whole line must be UTF-8"),
    (b"a:1|c|#k:v|#\xe9", "!not_utf8", "the whole line must be UTF-8"),
    (b"a:1|c|%\xe9", "!not_utf8", "precedence: not_utf8 before malformed_line"),
    (b"a:\xed\xa0\x80|s", "!not_utf8", "a lone surrogate is none"),
    (b"a:\xc0\x80|s", "!not_utf8", "an overlong form is none"),
    (b"a\xc3:1|c", "!not_utf8", "a character cut in two"),
    (b"a:1:2\xff|ms", "!not_utf8", "precedence: not_utf8 before malformed_value"),
    (b"_e{1,1}:\xe9|x", "!not_utf8", "also in events"),
    (b"_sc|a|0|m:\xe9", "!not_utf8", "also in service checks"),
    (b"\xef\xbb\xbfa:1|c", "c \ufeffa=1", "names stay raw, a byte order mark too"),
)

SPECIAL: Final = _cases(
    (b"_e{5,4}:title|text", "event", "DogStatsD"),
    (b"_e{5,4}:title|text\r", "event", "4: one carriage return is dropped"),
    (b"_e{5,4}:title|text|d:1|h:host|p:low|t:error|#k:v,bare", "event", "DogStatsD"),
    (b"_e{5,0}:title|", "event", "an empty text"),
    (b"_e{5,4}:ti:tle|te:xt", "event", "colons in title and text"),
    (b"_e{6,4}:title|text", "event", "own rule: lengths are not compared, clients disagree on what they count"),
    (b"_e{10,20}:A title|some text \\n more|k:x", "event", "DogStatsD"),
    (b"_e{5,4}:1|c", "event", "never misparsed as a counter"),
    (b"_e{5,4}:title", "!malformed_line", "no text"),
    (b"_e{5,4}:|text", "!malformed_line", "no title"),
    (b"_e{5}:title|text", "!malformed_line", "one length"),
    (b"_e{a,b}:title|text", "!malformed_line", "no numbers"),
    (b"_e{", "!malformed_line", "nothing"),
    (b"_e{}:1|c", "!malformed_line", "never misparsed as a counter"),
    (b"_e{5,4}title|text", "!malformed_line", "no colon"),
    (b"_e{5,4:1|c", "!malformed_line", "never misparsed as a counter"),
    (b"_e:1|c", "c _e=1", "no brace: a name like any other"),
    (b"_events:1|c", "c _events=1", "a name like any other"),
    (b"_sc|name|0", "service_check", "DogStatsD"),
    (b"_sc|name|3", "service_check", "DogStatsD"),
    (b"_sc|name|1\r", "service_check", "4: one carriage return is dropped"),
    (b"_sc|db:main|2|d:1|h:host|#k:v|m:it is: so", "service_check", "DogStatsD; colons anywhere"),
    (b"_sc|name|0|m:1|c", "service_check", "never misparsed as a counter"),
    (b"_sc|name|4", "!malformed_line", "no such status"),
    (b"_sc|name|", "!malformed_line", "no status"),
    (b"_sc|name", "!malformed_line", "no status"),
    (b"_sc||0", "!malformed_line", "no name"),
    (b"_sc|", "!malformed_line", "nothing"),
    (b"_sc|name|00", "!malformed_line", "no such status"),
    (b"_sc|name|0x", "!malformed_line", "no such status"),
    (b"_sc:1|c", "c _sc=1", "no bar: a name like any other"),
    (b"_sc:1|g", "g _sc=1", "a name like any other"),
)

_KEYS = [f"b{number:03}=" for number in range(256)]


def _with_bare_tags(name: int, kind: bytes = b"c") -> bytes:
    """Write a line with a name of that many bytes, and with 256 bare tags, of 6 bytes of its identity each."""
    return b"a" * name + b":1|%b|#" % kind + ",".join(_KEYS).replace("=", "").encode()


LENGTH: Final = _cases(
    (b"a" * 8188 + b":1|c", "c " + "a" * 8188 + "=1", "8192 bytes are allowed"),
    (b"a" * 8189 + b":1|c", "!line_too_long", "8193 bytes are not"),
    (b"a" * 8187 + b":1|c\r", "c " + "a" * 8187 + "=1", "the carriage return counts"),
    (b"a" * 8188 + b":1|c\r", "!line_too_long", "the carriage return counts"),
    (b"x" * 9000, "!line_too_long", "precedence: line_too_long before all others"),
    (b"\xff" * 9000, "!line_too_long", "precedence: line_too_long before not_utf8"),
    (b"_e{1,1}:t|" + b"x" * 9000, "!line_too_long", "also events"),
    (b"a:" + b"1" * 9000 + b"|c", "!line_too_long", "precedence: line_too_long before malformed_value"),
    (b"a:" + b"0" * 9000 + b"|c", "!line_too_long", "whatever makes it long"),
    (b"a:" + b"0:" * 4500 + b"0|h", "!line_too_long", "whatever makes it long"),
    (b"a:" + b":".join([b"7"] * 3000) + b"|h", "; ".join(["h a=7"] * 3000), "as many values as fit"),
    (b"a:1|c|#" + b",".join([b"k:v"] * 256), "c a{k=v}=1", "256 tags are allowed"),
    (b"a:1|c|#" + b",".join([b"k:v"] * 257), "!too_many_tags", "257 are not, whatever they are"),
    (b"a" + b",k=v" * 257 + b":1|c", "!too_many_tags", "in every style"),
    (b"a" + b";k=v" * 257 + b":1|c", "!too_many_tags", "in every style"),
    (b"a[" + b"k=v," * 257 + b"]:1|c", "!too_many_tags", "in every style"),
    (b"a:1|c|#" + b"," * 256, "!too_many_tags", "bad ones count"),
    (b"a:1|x|#" + b"," * 256, "!too_many_tags", "precedence: too_many_tags before unknown_type"),
    (b"a,k=v:1|c|#" + b"k:v," * 256, "!mixed_tagging_styles", "precedence: mixed_tagging_styles before too_many_tags"),
    (b"a" * 8000 + b":1|c|#" + b"b" * 184, "c " + "a" * 8000 + "{" + "b" * 184 + "=}=1", "8186 bytes of name and tags"),
    (
        _with_bare_tags(6656),
        "c " + "a" * 6656 + "{" + ",".join(_KEYS) + "}=1",
        "8192 bytes of name and tags are allowed",
    ),
    (_with_bare_tags(6657), "!identity_too_long", "8193 are not"),
    (_with_bare_tags(6657, b"x"), "!identity_too_long", "precedence: identity_too_long before unknown_type"),
    (_with_bare_tags(6655) + b",b", "!too_many_tags", "precedence: too_many_tags before identity_too_long"),
    (b"a:1|c" + b":1|c" * 2000, "; ".join(["c a=1"] * 2001), "as many samples as fit"),
)

ALL: Final = (
    TYPES + STRUCTURE + VALUES + GAUGES + RATES + SAMPLES + PACKED + SETS + SECTIONS + TAGS + UTF8 + SPECIAL + LENGTH
)
"""Those of the default grammar."""
