"""Installing the remedies, verifying what took effect, and putting everything back.

What is there before is recorded first, so that even an interrupted installation can be undone. The record keeps the
oldest values: applying twice and undoing once gives the machine as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from statsd_tcp.doctor.checks.tracking import NOTRACK_FILE, NOTRACK_TABLE
from statsd_tcp.doctor.examination import remedies
from statsd_tcp.doctor.files import DROP_IN_FILE, SYSCTL_FILE, remedy_files
from statsd_tcp.doctor.goal import Goal
from statsd_tcp.doctor.judgement import Remedy, Result
from statsd_tcp.state.private_files import replace_file
from statsd_tcp.words import in_words

__all__ = ["Effect", "Installation", "InstallationError", "Run"]

Run = Callable[[Sequence[str]], str]
"""Runs a program and gives its output; raises OSError, with one line, when it fails or is not there."""

_SYSCTL_FOLDERS = ("etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d", "lib/sysctl.d")
_UNIT = "statscounter.service"


class InstallationError(Exception):
    """Nothing can be installed or undone; the text is one line."""


class Effect(NamedTuple):
    """What became of one change: its name, what is there now, and whether that is in force."""

    name: str
    now: str
    good: bool
    note: str = ""


class _Record(msgspec.Struct):
    """What was there before; None: the file was not there."""

    sysctls: dict[str, str]
    files: dict[str, str | None]
    notrack: bool = False


class Installation:
    """Changes below a root (``/``) with the settings of a ``proc``. All methods raise `InstallationError`."""

    def __init__(self, root: Path, proc: Path, run: Run) -> None:
        self._root = root
        self._proc = proc
        self._run = run
        self._record_path = root / "var/lib/statscounter-doctor/before.json"

    def apply(self, results: Sequence[Result], goal: Goal) -> list[Effect]:
        """Install every remedy that the doctor does itself, and return what took effect."""
        todo = [remedy for _, remedy in remedies(results) if remedy.automatic]
        sysctls = [one for one in todo if one.kind == "sysctl"]
        files = remedy_files(results, goal)
        places = self._places(todo, files)
        self._remember(sysctls, list(places), notrack=any(one.kind == "notrack" for one in todo))
        for place, text in places.items():
            _write(place, _with_earlier(place, text))
        return [
            *(self._set(one) for one in sysctls),
            *self._load_unit([one for one in todo if one.kind in {"unit", "container"}]),
            *self._load_notrack([one for one in todo if one.kind == "notrack"]),
        ]

    def undo(self) -> list[Effect]:
        """Put back what was there before the first ``apply``."""
        record = self._read_record()
        if record is None:
            raise InstallationError(f"undo: nothing was applied here ({self._record_path} is not there)")
        for name, text in record.files.items():
            if text is None:
                Path(name).unlink(missing_ok=True)
            else:
                _write(Path(name), text)
        effects = [self._put(name, value) for name, value in record.sysctls.items()]
        if record.notrack:
            effects.append(self._drop_notrack())
        if any(name.endswith(DROP_IN_FILE) for name in record.files):
            effects.append(self._reload())
        if all(effect.good for effect in effects):
            self._record_path.unlink()
        return effects

    # Steps of apply.

    def _places(self, todo: Sequence[Remedy], files: dict[str, str]) -> dict[Path, str]:
        kinds = {one.kind for one in todo}
        places = {}
        if "sysctl" in kinds:
            places[self._root / "etc/sysctl.d" / SYSCTL_FILE] = files[SYSCTL_FILE]
        if "unit" in kinds and self._has_systemd():
            places[self._root / "etc/systemd/system" / DROP_IN_FILE] = files[DROP_IN_FILE]
        if "notrack" in kinds:
            places[self._notrack_place()] = files[NOTRACK_FILE]
        return places

    def _remember(self, sysctls: Sequence[Remedy], places: Sequence[Path], *, notrack: bool) -> None:
        record = self._read_record() or _Record({}, {})
        for one in sysctls:
            record.sysctls.setdefault(one.name, self._read(one.name))
        for place in places:
            record.files.setdefault(str(place), place.read_text() if place.exists() else None)
        record.notrack = record.notrack or notrack
        _write(self._record_path, msgspec.json.encode(record).decode())

    def _set(self, one: Remedy) -> Effect:
        effect = self._put(one.name, one.value)
        if effect.good and (later := self._shadow(one.name)):
            return effect._replace(good=False, note=f"{later} sets it too, and wins at the next boot")
        if effect.good and one.name in _AT_LISTEN:
            return effect._replace(note="in force when the service listens again: restart it")
        return effect

    def _put(self, name: str, value: str) -> Effect:
        """Set a sysctl, and read back what the kernel made of it. One that has the right value is left alone."""
        wanted = value.strip('"').split()
        try:
            if self._read(name).split() != wanted:
                self._path(name).write_text(f"{' '.join(wanted)}\n")
        except OSError as error:
            return Effect(name, self._read(name), good=False, note=f"refused: {error.strerror}")
        now = self._read(name)
        good = now.split() == wanted
        return Effect(name, now, good, "" if good else "the kernel took another value")

    def _load_unit(self, units: Sequence[Remedy]) -> list[Effect]:
        if not units:
            return []
        if units[0].kind == "container" or not self._has_systemd():
            note = "systemd does not run here: set it where the service is started (container flags, ulimit)"
            return [Effect(one.name, one.previous, good=False, note=note) for one in units]
        reload = self._reload()
        if not reload.good:
            return [reload]
        return [self._unit_effect(one) for one in units]

    def _unit_effect(self, one: Remedy) -> Effect:
        try:
            now = self._run(["systemctl", "show", "--value", f"--property={one.name}", _UNIT]).strip()
        except OSError as error:
            return Effect(one.name, "?", good=False, note=str(error))
        # systemd shows quantities in its own units, so that only plain numbers can be compared.
        good = not (now.isdigit() and one.value.isdigit()) or now == one.value
        return Effect(one.name, now, good, "in force when the service is restarted")

    def _reload(self) -> Effect:
        return self._ran(["systemctl", "daemon-reload"], "systemd", "drop-in read")

    def _load_notrack(self, rules: Sequence[Remedy]) -> list[Effect]:
        effects = []
        for one in rules:
            effect = self._ran(["nft", "-f", str(self._notrack_place())], one.name, "loaded")
            if effect.good:
                effect = self._ran(["nft", "list", "table", "inet", one.name], one.name, "loaded")
                note = f"for every boot: include {self._notrack_place()} in /etc/nftables.conf"
                effect = effect._replace(note=effect.note or note)
            effects.append(effect)
        return effects

    def _drop_notrack(self) -> Effect:
        return self._ran(["nft", "delete", "table", "inet", NOTRACK_TABLE], NOTRACK_TABLE, "gone")

    def _ran(self, command: Sequence[str], name: str, wanted: str) -> Effect:
        try:
            self._run(command)
        except OSError as error:
            return Effect(name, "not " + wanted, good=False, note=str(error))
        return Effect(name, wanted, good=True)

    # What is there.

    def _read_record(self) -> _Record | None:
        try:
            return msgspec.json.decode(self._record_path.read_bytes(), type=_Record)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise InstallationError(f"{self._record_path} cannot be read: {in_words(error)}") from None

    def _path(self, name: str) -> Path:
        return self._proc / "sys" / name.replace(".", "/")

    def _read(self, name: str) -> str:
        try:
            return " ".join(self._path(name).read_text().split())
        except OSError as error:
            return f"({error.strerror})"

    def _has_systemd(self) -> bool:
        return (self._root / "run/systemd/system").is_dir()

    def _notrack_place(self) -> Path:
        return self._root / "etc/statscounter" / NOTRACK_FILE

    def _shadow(self, name: str) -> str:
        """Return the file that is read later than ours at boot and sets the same; "" for none."""
        found: dict[str, Path] = {}
        for folder in map(self._root.joinpath, _SYSCTL_FOLDERS):
            for file in folder.glob("*.conf") if folder.is_dir() else ():
                # Of files of one name only the first folder's counts.
                found.setdefault(file.name, file)
        later = [file for key, file in sorted(found.items()) if key > SYSCTL_FILE]
        later.append(self._root / "etc/sysctl.conf")
        return next((str(file) for file in later if _sets(file, name)), "")


_AT_LISTEN = frozenset({"net.core.somaxconn", "net.core.rmem_max", "net.unix.max_dgram_qlen"})
"""Settings that a socket reads once, when it is made or begins to listen."""


def _sets(file: Path, name: str) -> bool:
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(line.partition("=")[0].strip().lstrip("-").replace("/", ".") == name for line in lines)


def _with_earlier(place: Path, text: str) -> str:
    """Add what an earlier ``apply`` has set in a file and this one does not: leaving it out would lower it."""
    if place.name not in (SYSCTL_FILE, Path(DROP_IN_FILE).name) or not place.exists():
        return text
    named = {line.partition("=")[0].strip() for line in text.splitlines()}
    earlier = place.read_text().splitlines()
    kept = [line for line in earlier if line[:1].isalpha() and line.partition("=")[0].strip() not in named]
    return text + "".join(f"{line}\n" for line in kept)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text)
    except OSError as error:
        raise InstallationError(f"{path} cannot be written: {error.strerror}") from None
