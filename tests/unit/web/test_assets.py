"""The files of the page for people."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from importlib.resources import files

import pytest

from statsd_tcp.settings.build import build_settings
from statsd_tcp.web.assets import ASSETS
from statsd_tcp.web.site import make_site
from tests.npm import node_path
from tests.unit.web.fakes import Client, FakeReactor, FakeSources

FOLDER = files("statsd_tcp.web") / "assets"

VENDORED = {
    "uPlot.iife.min.js": ("dist/uPlot.iife.min.js", "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"),
    "uPlot.min.css": ("dist/uPlot.min.css", "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04"),
    "uPlot.LICENSE": ("LICENSE", "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd"),
}
"""Files of uPlot 1.6.32: where each is in the release, and its SHA-256."""


def ask(path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Ask for a page."""
    client = Client(make_site(FakeReactor(), FakeSources(), build_settings({}), ()))
    client.send(path, **headers)
    return client.answer()


@pytest.mark.parametrize("name", sorted(ASSETS))
def test_a_file(name: str) -> None:
    """A file is served as it is, and not again to a browser that has it."""
    code, headers, body = ask(f"/assets/{name}")
    assert (code, headers["content-type"], body) == (200, ASSETS[name], (FOLDER / name).read_bytes())
    assert ask(f"/assets/{name}", If_None_Match=headers["etag"])[0] == 304
    assert ask(f"/assets/{name}", If_None_Match='"other"')[0] == 200


@pytest.mark.parametrize("path", ["/assets", "/assets/", "/assets/x.js", "/assets/uPlot.LICENSE", "/assets/../live.py"])
def test_no_file(path: str) -> None:
    """Nothing else is there."""
    assert ask(path)[0] == 404


def test_the_page_uses_all_files_and_nothing_else() -> None:
    """The page for people asks for each file, and has neither scripts nor styles of its own in it."""
    body = ask("/")[2].decode()
    assert set(re.findall(r'(?:src|href)="/assets/([^"]+)"', body)) == set(ASSETS)
    assert not re.search(r"<style|<script(?! defer src=)|style=|\son\w+=|https?://", body)


def test_the_policy() -> None:
    """Every page, refusals too, tells browsers to run and load nothing but the service's own files."""
    for path in ("/", "/healthz", "/api/v1/status", "/assets/live.js", "/nothing"):
        policy = ask(path)[1]["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


@pytest.mark.parametrize("name", sorted(VENDORED))
def test_what_is_not_ours_is_unchanged(name: str) -> None:
    """The files of uPlot are those of its release."""
    content = (FOLDER / name).read_bytes()
    assert sha256(content).hexdigest() == VENDORED[name][1]


def test_what_is_not_ours_is_in_the_release() -> None:
    """Where npm has the release, its files are the same."""
    release = node_path("uplot/package.json") / "uplot"
    assert json.loads((release / "package.json").read_text())["version"] == "1.6.32"
    for name, (path, _) in VENDORED.items():
        assert (FOLDER / name).read_bytes() == (release / path).read_bytes()
