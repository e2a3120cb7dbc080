"""The engine with servers in memory: whatever breaks, the books are right, and with `stored` equal to the server's."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.world import Node, World

HELLO = len(f"!hello 1 {0:032x}\n")
"""Bytes. When the server has read no more than that it greets, and stores nothing."""

ALL = 10**9

ROUNDS = st.tuples(st.just("round"), st.integers(0, 3))
"""A second in which something is counted, and bytes go all the way: to the kernel, to the server, and back, or not."""

ACTIONS = st.lists(
    st.one_of(
        ROUNDS,
        ROUNDS,
        st.tuples(st.just("count"), st.integers(0, 3)),
        st.tuples(st.sampled_from(["send", "deliver", "answer"]), st.sampled_from([1, 7, 60, ALL])),
        st.tuples(st.just("pass"), st.sampled_from([0.1, 1.0, 40.0])),
        st.tuples(st.just("break"), st.just(0)),
        st.tuples(st.just("place"), st.sampled_from([0, 0, 1, 2])),
    ),
    min_size=10,
    max_size=60,
)


def count(world: World, number: int, counted: Counter[str]) -> None:
    """Count once."""
    counted[f"c{number}"] += 1
    world.numbers.count(f"c{number}", 1)


def go_round(world: World, steps: int) -> None:
    """Let a second pass, and bytes go as many steps."""
    world.now += 1.0
    world.turn()
    for step in (world.send, world.deliver, world.answer)[:steps]:
        step(ALL)


def act(world: World, actions: list[tuple[str, float]], nodes: list[Node]) -> Counter[str]:
    """Do all of it, and return what was counted."""
    counted: Counter[str] = Counter()
    for action, argument in actions:
        if action == "count":
            count(world, int(argument), counted)
        elif action == "round":
            count(world, 0, counted)
            go_round(world, int(argument))
        elif action == "pass":
            world.now += argument
        elif action == "break":
            world.break_off()
        elif action == "place":
            node = nodes[int(argument)] if argument < len(nodes) else None
            world.place = lambda node=node: node  # type: ignore[misc]
        else:
            getattr(world, action)(int(argument))
        world.turn()
        stats = world.engine.stats()
        assert stats.made == sum(counted.values()), action
        assert stats.under_way >= 0
    return counted


@given(ACTIONS, st.integers(1, 4))
def test_stored_is_exactly_once(actions: list[tuple[str, float]], pool: int) -> None:
    """With one server, `stored` books are equal after whatever broke, and nothing is in doubt."""
    node = Node("a")
    world = World(lambda: node, level="stored", pool=pool)
    counted = act(world, actions, [node])
    world.place = lambda: node
    world.settle()
    stats = world.engine.stats()
    assert node.totals == counted
    assert (stats.confirmed, stats.in_doubt, stats.under_way) == (sum(counted.values()), 0, 0)


@given(ACTIONS, st.integers(1, 4))
def test_stored_in_a_fleet(actions: list[tuple[str, float]], pool: int) -> None:
    """With two nodes the sum of both is exact, as soon as a connection has led to each again."""
    nodes = [Node("a"), Node("b")]
    world = World(lambda: nodes[0], level="stored", pool=pool)
    counted = act(world, actions, nodes)
    for turn in range(8):
        world.break_off()
        # A lane that owes nothing to this node may wait for the other one.
        world.place = lambda turn=turn: nodes[turn % 2]  # type: ignore[misc]
        for _ in range(80):
            world.now += 1.0
            world.turn()
            for step in (world.send, world.deliver, world.answer):
                step(10**9)
    stats = world.engine.stats()
    assert nodes[0].totals + nodes[1].totals == counted
    assert (stats.confirmed, stats.in_doubt) == (sum(counted.values()), 0)


@pytest.mark.parametrize("level", ["sent", "read"])
@given(actions=ACTIONS, pool=st.integers(1, 4))
def test_others_are_never_twice(level: str, actions: list[tuple[str, float]], pool: int) -> None:
    """With `sent` and `read` nothing is counted twice, and what is confirmed by `read` was counted."""
    node = Node("a")
    world = World(lambda: node, level=level, pool=pool)
    counted = act(world, actions, [node])
    world.place = lambda: node
    world.settle()
    stats = world.engine.stats()
    assert all(node.totals[name] <= counted[name] for name in node.totals)
    assert stats.made == stats.confirmed + stats.in_doubt
    assert sum(node.totals.values()) <= stats.made
    if level == "read":
        assert sum(node.totals.values()) >= stats.confirmed


def make(level: str = "stored", **settings: object) -> tuple[World, Node]:
    """Return a world with one node."""
    node = Node("a")
    return World(lambda: node, level=level, **settings), node


def test_at_rest() -> None:
    """Without numbers nothing is due, ever; after the first one it is due an interval later."""
    world, _ = make("sent", interval=2.0)
    world.turn()
    assert world.engine.next_turn(world.now) is None
    world.numbers.count("a", 1)
    world.turn()
    assert world.engine.next_turn(world.now) == 2.0


def test_away() -> None:
    """While the server is away there is one attempt at a time, with pauses by chance up to 30 s, and no loop."""
    world, _ = make("sent")
    world.place = lambda: None
    world.numbers.count("a", 1)
    pauses = []
    for _ in range(2000):
        world.turn()
        pause = world.engine.next_turn(world.now)
        assert pause is not None
        pauses.append(pause)
        world.now += pause + 1e-6
    assert max(pauses[100:]) <= 30
    assert 10 < sum(pauses[100:]) / len(pauses[100:]) < 20
    assert world.dialled > 1900


def test_pool() -> None:
    """All connections of a pool come to be used, in turn; gauges go on the first alone."""
    world, node = make("sent", pool=3)
    for _ in range(20):
        world.numbers.count("a", 1)
        world.numbers.set_gauge("g", 1)
        for _ in range(3):
            world.now += 1.0
            world.turn()
            world.send(10**9)
    assert len(world.wires) == 3
    first = world.engine.lanes[0]
    for lane, wire in world.wires.items():
        assert (b"g:1|g" in wire.to_server) == (lane is first)
        assert b"a:" in wire.to_server
    assert node.totals == {}


def test_age() -> None:
    """A connection is replaced when it is 60 to 90 s old, and closed when it is idle."""
    world, _ = make("sent", idle=30.0)
    for _ in range(200):
        world.numbers.count("a", 1)
        world.now += 1.0
        world.turn()
        world.send(10**9)
    assert world.engine.books.connections in {3, 4}
    assert world.engine.books.reconnects == 0
    world.now += 31.0
    world.turn()
    assert world.wires == {}


def test_window() -> None:
    """At most eight batches are under way; then numbers go on adding up."""
    world, _ = make()
    lane = world.engine.lanes[0]
    for _ in range(30):
        world.numbers.count("a", 1)
        world.now += 1.0
        world.turn()
        world.send(10**9)
        world.deliver(HELLO if lane.state == "greeting" else 0)
        world.answer(10**9)
    assert len(lane.owed.of("a")) == 8
    assert world.numbers.made == 30 - sum(batch.made for batch in lane.owed.of("a")) > 10
    assert world.engine.next_turn(world.now) not in {None, 0.0}


def test_too_old() -> None:
    """A batch older than a day is not sent again: it is in doubt."""
    world, node = make()
    world.numbers.count("a", 1)
    for _ in range(4):
        world.now += 1.0
        world.turn()
        world.send(10**9)
        world.deliver(HELLO if world.engine.lanes[0].state == "greeting" else 0)
        world.answer(10**9)
    assert world.engine.stats().under_way == 1
    world.place = lambda: None
    world.break_off()
    world.now += 86401
    world.turn()
    assert world.engine.stats().in_doubt == 1
    world.place = lambda: node
    world.numbers.count("a", 1)
    world.settle()
    assert node.totals == {"a": 1}


@pytest.mark.parametrize("reason,dropped", [("crc", 3), ("lines", 3), ("syntax", 1), ("size", 1), ("order", 1)])
def test_refused(reason: str, dropped: int) -> None:
    """A batch that arrives damaged is sent three times, one that can never be accepted once; then it is dropped."""
    world, _ = make()
    world.numbers.count("a", 1)
    refused = 0
    for _ in range(200):
        world.now += 1.0
        world.turn()
        world.send(10**9)
        for lane, wire in list(world.wires.items()):
            if b"!batch" in wire.to_server:
                refused += 1
                wire.to_server, wire.to_client = b"", f"!refused 1 {reason}\n".encode()
                lane.received(wire.to_client, world.now)
                wire.to_client = b""
        world.deliver(10**9)
        world.answer(10**9)
    assert refused == dropped
    stats = world.engine.stats()
    assert (stats.dropped["refused"], stats.in_doubt, stats.last_error) == (1, 0, f"batch 1 refused: {reason}")


def test_crowded() -> None:
    """A batch for which there was no room at the moment is sent until there is."""
    world, node = make()
    world.numbers.count("a", 1)
    for turn in range(300):
        world.now += 1.0
        world.turn()
        world.send(10**9)
        for lane, wire in list(world.wires.items()):
            if b"!batch" in wire.to_server and turn < 200:
                wire.to_server = b""
                lane.received(b"!refused 1 memory\n", world.now)
        world.deliver(10**9)
        world.answer(10**9)
    assert node.totals == {"a": 1}
    assert world.engine.stats().dropped["refused"] == 0


def test_silence() -> None:
    """A connection without an answer for 30 s is given up, and its batches are sent again."""
    world, node = make()
    world.numbers.count("a", 1)
    for _ in range(40):
        world.now += 1.0
        world.turn()
        world.send(10**9)
        world.deliver(
            10**9 if world.engine.books.last_error else HELLO if world.engine.lanes[0].state == "greeting" else 0
        )
        world.answer(10**9)
    stats = world.engine.stats()
    assert (stats.repeated, stats.reconnects, stats.last_error) == (1, 1, "no answer in time")
    assert node.totals == {"a": 1}


def test_no_greeting() -> None:
    """A server that does not greet gets no batch."""
    world, node = make()
    world.numbers.count("a", 1)
    for _ in range(100):
        world.now += 1.0
        world.turn()
        world.send(10**9)
    assert world.engine.stats().last_error == "no greeting in time"
    assert world.engine.stats().waiting == 1
    assert node.totals == {}


def test_own_lines() -> None:
    """What was dropped is sent as counters, once; those are in no books."""
    world, node = make("sent")
    object.__setattr__(world.settings, "own_lines", True)
    world.numbers.count("bad:name", 1)
    for _ in range(2):
        world.numbers.count("a", 1)
        world.settle()
    assert node.totals == {"a": 2, "statscounter.client.dropped.bad_name": 1}
    assert world.engine.stats().made == 3
    assert world.engine.stats().confirmed == 2


def test_abandon() -> None:
    """At the end all books are closed: what was not sent is dropped, what was not confirmed is in doubt."""
    world, _ = make()
    world.numbers.count("a", 1)
    for _ in range(3):
        world.now += 1.0
        world.turn()
        world.send(10**9)
        world.deliver(HELLO if world.engine.lanes[0].state == "greeting" else 0)
        world.answer(10**9)
    world.numbers.count("a", 1)
    world.wires.clear()
    world.engine.abandon()
    stats = world.engine.stats()
    assert (stats.in_doubt, stats.dropped["exit"], stats.waiting, stats.under_way) == (1, 1, 0, 0)


def test_lanes() -> None:
    """With several connections each numbers its own batches: a server that knows numbers by client counts all."""
    world, node = make(pool=3)
    counted: Counter[str] = Counter()
    for _ in range(20):
        count(world, 0, counted)
        go_round(world, 3)
    world.settle()
    assert len(node.last) == 3
    assert node.totals == counted
    assert node.repeated == 0


@pytest.mark.parametrize("level", ["sent", "read"])
@pytest.mark.parametrize("taken,again", [(0, True), (3, False), (ALL, False)])
def test_cut_off(level: str, taken: int, again: bool) -> None:
    """A batch of which the kernel had taken nothing is sent again; any other is not, since it may have been counted."""
    world, node = make(level)
    counted: Counter[str] = Counter()
    count(world, 0, counted)
    go_round(world, 0)
    go_round(world, 0)
    world.send(taken)
    world.break_off()
    world.settle()
    stats = world.engine.stats()
    assert node.totals == (counted if again else {})
    sent = level == "sent" and taken == ALL
    assert (stats.confirmed, stats.in_doubt) == ((1, 0) if again or sent else (0, 1))


def test_its_node() -> None:
    """A batch without an answer goes again to the node that it was for, and to no other; new ones go anywhere."""
    nodes = [Node("a"), Node("b")]
    world = World(lambda: nodes[0], level="stored")
    counted: Counter[str] = Counter()
    count(world, 0, counted)
    for _ in range(3):
        go_round(world, 2)
        world.answer(ALL if not nodes[0].last else 0)
    assert nodes[0].totals == counted
    world.place = lambda: nodes[1]
    world.break_off()
    count(world, 1, counted)
    for _ in range(3):
        go_round(world, 3)
    assert nodes[1].totals == {"c1": 1}
    assert world.engine.stats().under_way == 1
    world.place = lambda: nodes[0]
    # With a batch for another node a connection does not grow old.
    world.now += 10
    for _ in range(4):
        go_round(world, 3)
    assert (nodes[0].totals, nodes[0].repeated) == ({"c0": 1}, 1)
    assert world.engine.stats().confirmed == 2


def test_many_strays() -> None:
    """Batches for nodes that are away have room up to a bound; beyond it the oldest are in doubt."""
    nodes = [Node(f"{number}") for number in range(6)]
    place = nodes[0]
    world = World(lambda: place, level="stored", max_strays=100)
    counted: Counter[str] = Counter()
    for place in nodes:  # noqa: B007  # the lambda returns it
        world.break_off()
        for number in range(10):
            count(world, number, counted)
        for _ in range(3):
            go_round(world, 1)
            world.deliver(HELLO if world.engine.lanes[0].state == "greeting" else 0)
            world.answer(ALL)
        world.send(ALL)
    stats = world.engine.stats()
    assert stats.in_doubt >= 20
    assert stats.in_doubt + stats.under_way == stats.made


@pytest.mark.parametrize("answer", [b"!stored 99 1 0\n", b"!node b\n", b"welcome\n"])
def test_unexpected(answer: bytes) -> None:
    """After an answer that cannot be, the connection is replaced, and the batch is sent again."""
    world, node = make()
    counted: Counter[str] = Counter()
    count(world, 0, counted)
    for _ in range(3):
        go_round(world, 2)
        world.answer(ALL if not node.last else 0)
    ((lane, wire),) = world.wires.items()
    wire.to_client = b""
    lane.received(answer, world.now)
    assert "unexpected answer" in world.engine.stats().last_error
    world.settle()
    assert (node.totals, node.repeated) == (counted, 1)
    assert world.engine.stats().confirmed == 1
