"""``statscounter store``: what is in a state directory, whether it is whole, all of it in other forms, and a backup."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from statsd_tcp.commands.store.checks import check_store
from statsd_tcp.commands.store.reading import StoreReader, open_reader
from statsd_tcp.commands.usage import UsageError
from statsd_tcp.ledger.file import ledger_paths
from statsd_tcp.settings.build import build_settings
from statsd_tcp.settings.settings import SettingsError
from statsd_tcp.settings.state_folder import default_state_directory
from statsd_tcp.state.folder import LEDGERS, STORE, files_in
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.handover import ABSORB, RETIRE, absorbed_of

__all__ = ["add_arguments", "run"]

WHOLE, DAMAGED, UNREADABLE = 0, 1, 2
"""The exit statuses: all is well; something is damaged or does not add up; there is nothing that could be read."""

_SUMMARIES = {
    "info": "say in a few lines what is there",
    "check": "say whether it is whole, and whether the sums add up",
    "export": "give everything as JSON, an object a line, or make a store for release 0.1.0 of it",
    "backup": "copy the store to a new file, also while the service runs",
}

_HANDOVERS = {
    ABSORB: "have the service of this folder go on with the totals of another node, which has ended",
    RETIRE: "have the service of this folder end the series of another node, which has ended; its totals go",
}

_KINDS = {"c": "counters", "g": "gauges", "ms": "timers", "h": "distributions", "s": "sets"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    _add_folder(parser, None)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", help="what to do")
    for name, summary in _SUMMARIES.items():
        action = actions.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        # After the action too; an option before it must not be lost because there is none after it.
        _add_folder(action, argparse.SUPPRESS)
        made = "the file to make; one that exists is left as it is"
        if name == "backup":
            action.add_argument("file", metavar="FILE", help=made)
        if name == "export":
            words = "make a store that release 0.1.0 reads, with the present totals, in the file OUT"
            action.add_argument("--format", choices=["0.1"], help=words)
            action.add_argument("file", metavar="OUT", nargs="?", help=made)
    for name, summary in _HANDOVERS.items():
        action = actions.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        _add_folder(action, argparse.SUPPRESS)
        action.add_argument("other", metavar="OTHER", help="the state folder of the other node, or its store's file")
        words = "accept that series at outputs which this node does not have go on counting"
        action.add_argument("--offline", action="store_true", help=words)
        words = "give up what is only in the journals of the other node"
        action.add_argument("--without-journals", action="store_true", help=words)
    parser.epilog = "exit status: 0 whole, 1 damaged, 2 could not be read or made, 64 wrong command line"


def _add_folder(parser: argparse.ArgumentParser, default: str | None) -> None:
    words = "the service's state directory [default: as the service's]"
    parser.add_argument("--state-dir", metavar="DIR", default=default, help=words)


def run(arguments: argparse.Namespace, wall: Callable[[], float] = time.time) -> int:
    """Run the action, and return the exit status; ``wall`` returns seconds since 1970. Raise `UsageError`."""
    if arguments.action == "export" and bool(arguments.format) != bool(arguments.file):
        raise UsageError("--format and OUT: one needs the other")
    given = [arguments.state_dir] if arguments.state_dir else []
    try:
        settings = build_settings({"state-dir": given} if given else {})
        folder = files_in(default_state_directory(settings, os.environ))
        if arguments.action in _HANDOVERS:
            return _hand_over(folder, arguments, wall())
        with open_reader(folder / STORE) as reader:
            if arguments.action == "backup":
                return _backup(reader, Path(arguments.file), wall())
            if arguments.action == "export" and arguments.format:
                return _downgrade(reader, Path(arguments.file))
            return _ACTIONS[arguments.action](reader, folder)
    except (StoreError, SettingsError) as error:
        print(f"statscounter store: {error}", file=sys.stderr)
        return UNREADABLE


def _hand_over(folder: Path, arguments: argparse.Namespace, now: float) -> int:
    # What this imports no other action needs.
    from statsd_tcp.commands.store.handover import Wanted, hand_over

    wanted = Wanted(arguments.action, Path(arguments.other), arguments.offline, arguments.without_journals)
    print(hand_over(folder, wanted, now))
    return WHOLE


def _info(reader: StoreReader, folder: Path) -> int:
    table = Table(show_header=False, box=None)
    table.add_row("store", str(reader.path))
    table.add_row("size", f"{reader.path.stat().st_size:,} bytes, schema version {reader.version()}")
    identity = reader.identity()
    if identity is not None:
        table.add_row("UUID", identity.uuid)
        table.add_row("node", identity.node)
        if identity.heir:
            table.add_row("handed over to", identity.heir)
    for each in reader.look(absorbed_of):
        table.add_row(each.kind, f"{each.node}, {each.uuid}, {_date(each.moment)}")
    taken = reader.backup_taken()
    if taken is not None:
        table.add_row("backup of", _date(taken))
    table.add_row("totals", f"{sum(1 for _ in reader.totals()):,}")
    kinds = Counter(line.kind for line in reader.series())
    table.add_row(
        "series", ", ".join(f"{number:,} {_KINDS.get(kind, kind)}" for kind, number in kinds.items()) or "none"
    )
    last = max((line.updated for line in reader.series()), default=0.0)
    if last:
        table.add_row("last sample", _date(last))
    for ledger in reader.ledgers():
        table.add_row(
            "ledger",
            f"{ledger.ledger_id} of worker {ledger.worker}, {ledger.state}, {ledger.committed:,} bytes committed",
        )
    table.add_row("ledger files", f"{len(ledger_paths(folder / LEDGERS))}")
    Console(soft_wrap=True).print(table)
    return WHOLE


def _check(reader: StoreReader, folder: Path) -> int:
    findings = check_store(reader, folder / LEDGERS)
    for finding in findings:
        print(finding)
    if not findings:
        print(f"{reader.path}: whole")
    return DAMAGED if findings else WHOLE


def _export(reader: StoreReader, _: Path) -> int:
    write = sys.stdout.buffer.write
    encode = msgspec.json.Encoder().encode
    totals = list(reader.totals())
    # The reader of the output may be slow, or a pager.
    reader.let_go()
    for total in totals:
        write(encode({"total": total.metric, "labels": total.labels, "value": total.value}) + b"\n")
    for line in reader.series():
        record = {"series": line.name, "tags": line.tags, "type": line.kind, "value": line.value}
        if line.kind in {"ms", "h"}:
            record["count"] = line.weight
        write(encode({**record, "updated": line.updated}) + b"\n")
    sys.stdout.buffer.flush()
    return WHOLE


def _backup(reader: StoreReader, file: Path, now: float) -> int:
    reader.back_up(file, now)
    print(f"{file}: backup of {reader.path}, {file.stat().st_size:,} bytes")
    return WHOLE


def _downgrade(reader: StoreReader, file: Path) -> int:
    left_out = reader.downgrade(file)
    print(f"{file}: store for release 0.1.0 made of {reader.path}, {file.stat().st_size:,} bytes")
    if left_out.owners:
        words = f"left out: the owners of names on /metrics ({left_out.owners:,}); there the first that came has a name"
        print(f"statscounter store: {words}", file=sys.stderr)
    for fault in left_out.damage:
        print(f"statscounter store: {reader.path} is damaged, and {file} lacks this: {fault}", file=sys.stderr)
    return DAMAGED if left_out.damage else WHOLE


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(seconds))


_ACTIONS = {"info": _info, "check": _check, "export": _export}
