"""``statscounter top``: events, what is shown of them, and keys."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from rich.console import Console

from statsd_tcp.commands.main import main
from statsd_tcp.commands.top.events import Event, events
from statsd_tcp.commands.top.feed import SHOWN, Node
from statsd_tcp.commands.top.run import Screen
from statsd_tcp.commands.top.view import HELP, View, show, spark
from statsd_tcp.commands.usage import EX_USAGE
from statsd_tcp.status.moments import Moment
from tests.ports import free_port
from tests.unit.status.test_who_table import row

PLACE = "http://h:9102"

WIDTH = 80


def moment(at: float, rate: float = 10.0, **more: Any) -> Moment:
    """Make a moment of a service with a listener of connections and one of datagrams."""
    rates = {"tcp:8125": rate, "tcp:8888": 1.0}
    fields: dict[str, Any] = {"accepted": rates, "open": {"tcp:8125": 7}, "waiting": {"tcp:8125": 3}}
    fields |= {"drops": {"tcp:8125": 0.0}, "closed": {"eof": rate}, "lines": {"tcp:8125": 1234.0, "udp:8125": 5.0}}
    fields |= {"bad": {}, "commit": 0.0125, "series": 4321, "queued": {"graphite:h:2003": 2}}
    return Moment(at=at, **{**fields, **more})


def node(name: str = "web-1", moments: Sequence[Moment] = (), **status: Any) -> Node:
    """Make a node as the events of its stream would."""
    made = Node(PLACE)
    worker = {"slot": 0, "state": "ready"}
    output = {"name": "graphite:h:2003", "sent": 40, "failed": 5, "error": "refused"}
    said = {"node": name, "statscounter": "0.1.0", "ready": True, "findings": [], "workers": [worker]}
    made.take(Event("past", msgspec.json.encode(list(moments) or [moment(1.0), moment(2.0)])))
    made.take(Event("status", msgspec.json.encode({**said, "outputs": [output], **status})))
    return made


def shown(nodes: Sequence[Node], view: View = View()) -> list[str]:  # noqa: B008
    """Return the lines of what is shown, without colours, in a terminal of 80 columns."""
    file = io.StringIO()
    Console(file=file, width=WIDTH, color_system=None).print(show(nodes, view))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_events() -> None:
    """Events end with an empty line; what is no event, and what is cut off, is left out."""
    stream = b"retry: 2000\n\nevent: a\ndata: {}\n\nevent: b\ndata: [1: 2]\r\n\r\n"
    stream += b": comment\n\nevent: c\n\nevent: d\ndata: 1\n"
    assert list(events(io.BytesIO(stream))) == [Event("a", b"{}"), Event("b", b"[1: 2]")]


def test_one_service() -> None:
    """Of one service its listeners are shown, why connections ended, its outputs and its workers."""
    lines = shown([node()])
    assert lines[0] == "web-1  0.1.0  ready  4,321 series, commits take 12.5 ms"
    assert [line.split() for line in lines[1:5]] == [
        ["listener", "conn/s", "last", "minute", "open", "waiting", "drops/s", "lines/s"],
        ["tcp:8125", "10", "██", "7", "3", "0", "1,234"],
        ["udp:8125", "██", "5"],
        ["tcp:8888", "1", "██"],
    ]
    assert lines[5] == "ends of connections/s  eof 10"
    assert lines[7].split() == ["graphite:h:2003", "2", "40", "5", "refused"]
    assert lines[8] == "workers  0 ready"


def test_sources() -> None:
    """Of one service its sources are shown if it tells them: five, more, or none, and those that the filter leaves."""
    made = node()
    made.take(Event("sources", msgspec.json.encode([row(f"10.0.0.{last}", 99 - last, 1.0) for last in range(30)])))
    for sources, part, wanted in ((5, "", range(5)), (20, "", range(20)), (0, "", ()), (5, "0.29", (29,))):
        shown_now = [line.split()[0] for line in shown([made], View(sources=sources, part=part)) if line[:3] == "10."]
        assert shown_now == [f"10.0.0.{last}" for last in wanted]
    assert max(map(len, shown([made]))) <= WIDTH
    assert HELP.replace("w sources   ", "") == "q quit   s sort   p pause   / filter   ? help"


def test_the_key_for_sources() -> None:
    """The key shows more of them, then none, then a few again."""
    screen = Screen(is_unicode=True)
    seen = []
    for _ in range(4):
        seen.append(screen.view.sources)
        screen.press("w")
    assert seen == [5, 20, 0, 5]


def test_what_is_wrong_is_said_first() -> None:
    """A finding comes before the tables, with its command; a service that is not ready says why."""
    finding = {"text": "queues overflow", "command": "sysctl -w x=1"}
    lines = shown([node(ready=False, not_ready_because="draining", findings=[finding])])
    assert "not ready: draining" in lines[0]
    assert lines[1] == "! queues overflow: sysctl -w x=1"


def test_a_fleet() -> None:
    """Of several services each has a row, those that answer a sum, and what is wrong with one is said below."""
    silent = Node("http://other:9102")
    silent.error = "Connection refused"
    lines = shown([node("a", [moment(1.0, 100.0)]), node("b", [moment(1.0, 200.0)], ready=False), silent])
    assert [line.split() for line in lines[1:4]] == [
        ["b", "201", "█", "7", "3", "0", "1,239", "0"],
        ["a", "101", "█", "7", "3", "0", "1,239", "0"],
        ["http://other:9102"],
    ]
    assert lines[4].split() == ["2", "of", "3", "302", "14", "6", "0", "2,478", "0"]
    assert lines[5:] == ["! b: not ready:", "! http://other:9102: Connection refused"]


def test_before_the_first_moment() -> None:
    """A service that has said nothing yet is shown with the reason."""
    assert shown([Node(PLACE)]) == [f"{PLACE}: no answer yet"]


@pytest.mark.parametrize("nodes", [1, 3])
def test_a_narrow_terminal(nodes: int) -> None:
    """No line is longer than the terminal."""
    many = [node(f"a-node-with-a-long-name-{number}", [moment(1.0, 1e7)] * SHOWN) for number in range(nodes)]
    assert max(map(len, shown(many))) <= WIDTH


def test_order_and_choice() -> None:
    """Rows are sorted by rate or by name, and those of another name are left out."""
    names = [line.split()[0] for line in shown([node()], View(sort="name"))[2:5]]
    assert names == ["tcp:8125", "tcp:8888", "udp:8125"]
    assert [line.split()[0] for line in shown([node()], View(part="88"))[2:3]] == ["tcp:8888"]


@pytest.mark.parametrize(
    "values, width, drawn",
    [
        ([], 4, ""),
        ([0.0, 0.0], 4, "▁▁"),
        ([0.0, 4.0, 8.0], 4, "▁▅█"),
        ([1.0, 1.0, 3.0, 5.0], 2, "▃█"),
        ([8.0] * 60, 20, "█" * 20),
    ],
)
def test_bars(values: list[float], width: int, drawn: str) -> None:
    """Bars are of the greatest value's height, and as many as there is room for."""
    assert spark(values, width, is_unicode=True) == drawn
    assert spark(values, width, is_unicode=False).isascii()


def test_the_newest_minute_is_kept() -> None:
    """A node keeps the moments of a minute."""
    made = node(moments=[moment(float(at)) for at in range(2 * SHOWN)])
    made.take(Event("moment", msgspec.json.encode(moment(500.0))))
    assert (len(made.moments), made.moments[-1].at) == (SHOWN, 500.0)


def test_keys() -> None:
    """Keys sort, pause, help, filter and end; while a filter is typed, they are its letters."""
    screen = Screen(is_unicode=True)
    assert str(screen.foot()) == "by rate   ? help"
    for key in "sp?":
        screen.press(key)
    assert str(screen.foot()) == f"by name   paused   {HELP}"
    for key in "/qqs\x7f":
        screen.press(key)
    assert str(screen.foot()) == "/qq_"
    screen.press("\n")
    assert (screen.view.part, screen.is_over) == ("qq", False)
    for key in "/\x1b":
        screen.press(key)
    assert screen.view.part == ""
    screen.press("q")
    assert screen.is_over


def test_no_service(capsys: pytest.CaptureFixture[str]) -> None:
    """Without an answer the exit status is 1, and the reason is shown; with --json too."""
    url = f"http://127.0.0.1:{free_port()}"
    assert main(["top", "--once", "--url", url]) == 1
    assert "Connection refused" in capsys.readouterr().out
    assert main(["top", "--once", "--json", "--url", url]) == 1
    assert json.loads(capsys.readouterr().out)["moment"] is None


@pytest.mark.parametrize(
    "arguments", [["--url", "h:9102"], ["--interval", "0"], ["--url", PLACE, "--url", f"{PLACE}/"]]
)
def test_a_wrong_command_line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """A wrong command line is one line that names the option."""
    assert main(["top", *arguments]) == EX_USAGE
    said = capsys.readouterr().err
    assert said.startswith(f"statscounter top: {arguments[0]}")
    assert said.count("\n") == 1
