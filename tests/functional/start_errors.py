"""The ways in which a start can fail: what brings each of them about, and which words the error line must have."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import uuid
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.functional.service import LOOPBACK

__all__ = ["OPTION_ROWS", "ROWS", "Row", "Scene"]


class Row(NamedTuple):
    """One way to fail: further options, the words that the line must have, and a command to put before."""

    options: list[str]
    words: list[str]
    prefix: list[str]


class Scene:
    """What a row needs around it: a folder for files, and things that are cleaned up behind it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.stack = stack

    def config(self, text: str) -> list[str]:
        """Write a configuration file, and give the option that names it."""
        path = self.folder / "statscounter.toml"
        path.write_text(text)
        return [f"--config={path}"]

    def taken(self, kind: socket.SocketKind) -> int:
        """Return a port that this process holds."""
        holder = self.stack.enter_context(socket.socket(socket.AF_INET, kind))
        holder.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        return int(holder.getsockname()[1])


def no_rights() -> list[str]:
    """Return a command that takes all special rights away, so that even root is denied what others are."""
    if os.geteuid():
        return []
    prefix = ["setpriv", "--bounding-set=-all"]
    if not shutil.which("setpriv") or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("we are root, and setpriv (package util-linux) cannot take rights away")
    return prefix


def wrong(words: list[str], *more: str) -> Callable[[Scene], Row]:
    """Make a row that needs nothing but its options."""
    return lambda _: Row(list(more), words, [])


def file(text: str, *words: str) -> Callable[[Scene], Row]:
    """Make a row of a configuration file, which the line must name."""
    return lambda scene: Row(scene.config(text), ["statscounter.toml", *words], [])


def mapping(text: str, *words: str) -> Callable[[Scene], Row]:
    """Make a row of a mapping file, with which the line must begin."""

    def row(scene: Scene) -> Row:
        path = scene.folder / "mapping.yml"
        path.write_text(text)
        return Row([f"--mapping={path}"], [f"statscounter: --mapping: {path}", *words], [])

    return row


def missing_file(scene: Scene) -> Row:
    """Name a configuration file that is not there."""
    path = scene.folder / "nowhere.toml"
    return Row([f"--config={path}"], [str(path), "cannot be read", "No such file"], [])


def in_use(option: str, scheme: str) -> Callable[[Scene], Row]:
    """Make a row of a port that is in use: option, port, process and remedy must be named."""

    def row(scene: Scene) -> Row:
        port = scene.taken(socket.SOCK_STREAM if scheme == "tcp" else socket.SOCK_DGRAM)
        owner = f"(pid {os.getpid()})"
        remedy = [f"--{option}= switches it off", f"--{option} {scheme}:PORT moves it"]
        words = [f"--{option}: {scheme}:{port} is in use by ", owner, *remedy]
        return Row([f"--{option}={scheme}:{port}:{LOOPBACK}"], words, [])

    return row


def living_socket(scene: Scene) -> Row:
    """Name a Unix socket that a process has."""
    name = f"statscounter-test-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    scene.stack.enter_context(socket.socket(socket.AF_UNIX)).bind(f"\0{name}")
    return Row([f"--listen=unix:@{name}"], [f"--listen: unix:@{name} is in use", "--listen unix:PATH moves it"], [])


def file_for_socket(scene: Scene) -> Row:
    """Name a file that is no socket."""
    (scene.folder / "s").write_text("")
    return Row(["--listen=unixgram:s"], ["--listen: unixgram:/", "/s is there and is no socket"], [])


def bad_certificate(scene: Scene) -> Row:
    """Name a file that holds no key."""
    path = scene.folder / "key.pem"
    path.write_text("nothing\n")
    return Row([f"--listen=ssl:0:privateKey={path}"], ["--listen ssl:0: privateKey=", "/key.pem: "], [])


def remote_file(key: str, text: str, url: str, *words: str) -> Callable[[Scene], Row]:
    """Make a row of a file for remote write, which the line must name with its key."""

    def row(scene: Scene) -> Row:
        path = scene.folder / key
        path.write_text(text)
        return Row([f"--remote-write={url}:{key}={path}"], [f"--remote-write {url}: {key}=", *words], [])

    return row


def low_port(scene: Scene) -> Row:
    """Ask for a port that needs rights."""
    port = 99
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= port:
        pytest.skip("on this machine every port may be had without rights")
    words = [f"--listen: tcp:{port} needs root", "CAP_NET_BIND_SERVICE", "--listen tcp:PORT moves it"]
    return Row([f"--listen=tcp:{port}:{LOOPBACK}"], words, no_rights())


def file_for_folder(scene: Scene) -> Row:
    """Put a file where the state directory should be."""
    scene.state.write_text("")
    return Row([], [f"--state-dir {scene.state}: cannot be used", "Not a directory", "name another"], [])


def unwritable(scene: Scene) -> Row:
    """Take away the right to write into the state directory."""
    (scene.state / "ledgers").mkdir(parents=True)
    scene.state.chmod(0o500)
    scene.stack.callback(scene.state.chmod, 0o700)
    return Row([], [f"--state-dir {scene.state}: may not be written", "change its rights"], no_rights())


def unwritable_parent(scene: Scene) -> Row:
    """Take away the right to make the state directory."""
    locked = scene.folder / "locked"
    locked.mkdir(mode=0o500)
    scene.stack.callback(locked.chmod, 0o700)
    words = [f"--state-dir {locked}/state: cannot be made (Permission denied)"]
    return Row([f"--state-dir={locked}/state"], words, no_rights())


def foreign_store(scene: Scene) -> Row:
    """Put another program's SQLite file where the store should be."""
    scene.state.mkdir()
    path = scene.state / "totals.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
        connection.commit()
    return Row([], [str(path), "left as it is"], [])


def damaged_store(scene: Scene) -> Row:
    """Put something where the store should be that never was a database."""
    scene.state.mkdir()
    path = scene.state / "totals.sqlite"
    path.write_bytes(b"never a database\n" * 500)
    return Row([], [f"{path} is not a SQLite database", "left as it is"], [])


def folder_for_lock(scene: Scene) -> Row:
    """Put a folder where the state directory's lock should be."""
    (scene.state / "lock").mkdir(parents=True)
    return Row([], [f"--state-dir {scene.state}: lock is a folder and no file"], [])


def in_mounts(script: str) -> list[str]:
    """Return a command that runs another one in a mount namespace of its own, after a script that needs root."""
    prefix = ["unshare", "--mount", "sh", "-c", f'{script}; exec "$@"', "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs root and unshare")
    return prefix


def no_proc(_: Scene) -> Row:
    """Take /proc away."""
    return Row([], ["cannot start: /proc/", "No such file or directory; the service needs /proc"],
               in_mounts("mount -t tmpfs none /proc"))  # fmt: skip


def full_disk(scene: Scene) -> Row:
    """Put the state directory on a disk that is full."""
    scene.state.mkdir()
    mount = f"set -e; mount -t tmpfs -o size=4k,mode=700 none {scene.state}; echo x > {scene.state}/x"
    return Row([], [f"--state-dir {scene.state}: cannot be used", "No space left on device"], in_mounts(mount))


def deep_file(scene: Scene) -> Row:
    """Write a configuration file of lists within lists."""
    return Row(scene.config(f"listen = {'[' * 100_000}"), ["statscounter.toml: ", "nested too deeply"], [])


def few_descriptors(scene: Scene) -> Row:
    """Let the service open hardly any files."""
    limited = ["sh", "-c", 'ulimit -n 100; exec "$@"', "sh"]
    return Row([], ["the limit of 100 open files (ulimit -n) is too low", "or ask for fewer --workers"], limited)


ROWS: dict[str, Callable[[Scene], Row]] = {
    "wrong value": wrong(["--workers: '0' is not a whole number"], "--workers=0"),
    "unknown option": wrong(["option --colour not recognized", "--help lists"], "--colour=red"),
    "address elsewhere": wrong(
        ["--listen tcp:0:interface=192.0.2.1", "no address"], "--listen=tcp:0:interface=192.0.2.1"
    ),
    "no such file": missing_file,
    "no /proc": no_proc,
    "full disk": full_disk,
    "deep TOML": deep_file,
    "folder for file": wrong(["--config: / cannot be read: Is a directory"], "--config=/"),
    "not TOML": file("workers = = 2", "not valid TOML", "line 1"),
    "lines port in use": in_use("listen", "tcp"),
    "datagram port in use": in_use("listen", "udp"),
    "count port in use": in_use("count", "tcp"),
    "HTTP port in use": in_use("http", "tcp"),
    "console port in use": in_use("admin", "tcp"),
    "low port": low_port,
    "socket in use": living_socket,
    "file for socket": file_for_socket,
    "folder of socket": wrong(["--listen: unix:/", "the folder does not exist"], "--listen=unix:no/such/folder/s"),
    "no certificate": wrong(
        ["--listen ssl:0:", "privateKey=/nowhere cannot be read"], "--listen=ssl:0:privateKey=/nowhere"
    ),
    "bad certificate": bad_certificate,
    "file for folder": file_for_folder,
    "unwritable folder": unwritable,
    "unwritable parent": unwritable_parent,
    "foreign store": foreign_store,
    "damaged store": damaged_store,
    "folder for lock": folder_for_lock,
    "few descriptors": few_descriptors,
    "no such output": wrong(["--output nowhere: no installed package has such an output"], "--output=nowhere:path=x"),
    "no token": wrong(
        ["--remote-write http://h/w: bearer=/nowhere: No such file"], "--remote-write=http://h/w:bearer=/nowhere"
    ),
    "bad header": remote_file("headers", "colour\n", "http://h/w", "line 1 is not of the form"),
    "bad authority": remote_file("ca", "nothing\n", "https://h/w", "cannot be used"),
    "no mapping file": wrong(["--mapping: /nowhere.yml cannot be read: No such file"], "--mapping=/nowhere.yml"),
}
"""One row, or more, for each thing that is tried at start."""

OPTION_ROWS: dict[str, Callable[[Scene], Row]] = {
    "wrong seconds": wrong(["--drain-timeout: 'soon' is not a number of seconds"], "--drain-timeout=soon"),
    "stray argument": wrong(["'now' is not an option", "--help lists"], "now"),
    "value missing": wrong(["--workers: a value is missing"], "--workers="),
    "bad scheme": wrong(["--listen ftp:21", "tcp, udp"], "--listen=ftp:21"),
    "bad port": wrong(["--count tcp:port", "'port' is not a port"], "--count=tcp:port"),
    "bad interface": wrong(["--http", "interface=nowhere is not an IP address"], "--http=tcp:0:interface=nowhere"),
    "bad key": wrong(["--listen", "colour"], "--listen=tcp:0:colour=red"),
    "nothing to do": wrong(["--listen/--count: both are empty"], "--listen=", "--count="),
    "same label": wrong(
        ["--listen/--count: same is given twice"], "--listen=tcp:0:name=same", "--count=tcp:0:name=same"
    ),
    "same port": wrong(["tcp:18125 is given twice"], "--listen=tcp:18125", "--listen=tcp:18125"),
    "unknown key": file('colour = "red"', "unknown option 'colour'"),
    "wrong type": file("workers = true", "workers: true is not"),
    "wrong value in file": file("workers = 0", "workers: '0' is not a whole number"),
    "wrong endpoint in file": file('listen = ["tcp:port"]', "listen tcp:port", "not a port"),
    "repeat without port": wrong(
        ["--repeat: 'udp:localhost' is not of the form udp:HOST:PORT"], "--repeat=udp:localhost"
    ),
    "repeat twice": wrong(["repeat:udp:h:1 is given twice"], "--repeat=udp:h:1", "--repeat=udp:h:1"),
    "long path": wrong(["--listen unix:/", "longer than the 107 bytes"], f"--listen=unix:/{'x' * 120}"),
    "many digits": wrong(["--listen: the value is longer than 4,096"], f"--listen=tcp:{'1' * 5000}"),
    "nobody's home": wrong(["--state-dir: Could not determine home directory"], "--state-dir=~nobody-of-that-name/x"),
    "bad URL": wrong(["--remote-write", "'h/w' is not of the form http://HOST"], "--remote-write=h/w"),
    "bad label": wrong(["--remote-write", "labels=1=2 is not of the form"], "--remote-write=http://h/w:labels=1=2"),
    "long label": wrong(["--remote-write: the value is longer"], f"--remote-write=http://h/w:labels=a={'x' * 5000}"),
    "unknown key of a mapping": mapping("mappings:\n- match: a.*\n  nam: b\n", ":3: unknown key 'nam'"),
    "bad pattern of a mapping": mapping(
        "mappings:\n- match: 'a('\n  match_type: regex\n  name: b\n", ":2: invalid regular expression"
    ),
    "no YAML in a mapping": mapping("mappings: [\n", "not valid YAML"),
    "bad mode": wrong(["mode=999 is not an octal mode"], "--listen=unix:s:mode=999"),
}
"""More ways to get the options wrong, all of which take the same way out."""
