"""The documents name what there is."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.process_collector import ProcessCollector

from statsd_tcp.commands.compare.run import add_arguments
from statsd_tcp.commands.main import main
from statsd_tcp.settings.build import build_settings
from statsd_tcp.settings.config_file import read_config
from statsd_tcp.settings.endpoint_values import CHECKS
from statsd_tcp.settings.options import OPTIONS
from statsd_tcp.web.exposition import Exposition
from tests.unit.web.tables import make_snapshot


def test_keys_of_endpoints(checkout: Path) -> None:
    """Every key of an endpoint is in docs/options.md, and every one of a listener's lines in the text of --help."""
    text = (checkout / "docs" / "options.md").read_text().partition("\n## Endpoints\n")[2].partition("\n## ")[0]
    (listen,) = [option.help for option in OPTIONS if option.name == "listen"]
    assert [key for key in CHECKS if f"`{key}=" not in text] == []
    assert [key for key in ("dialect", "tags", "container", "max-line", "name") if f":{key}=" not in listen] == []


def test_configuration_files(checkout: Path, tmp_path: Path) -> None:
    """A configuration file that a migration page shows has no fault."""
    file = tmp_path / "x.toml"
    texts = [
        text
        for page in checkout.glob("docs/migrating-*.md")
        for text in re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    ]
    assert texts
    for text in texts:
        file.write_text(text)
        assert main(["check", f"--config={file}"]) == 0


def test_side_by_side(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands that run both servers side by side have options that are taken, and ports that do not collide."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mapping.yml").write_text("mappings: []\n")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    for name in ("etsy", "statsd_exporter"):
        text = (checkout / "docs" / f"migrating-from-{name}.md").read_text().partition("## Both side by side")[2]
        commands = [line.split() for line in text.replace("\\\n", "").splitlines() if line.startswith("    ")]
        (start,) = [words for words in commands if words[0] == "twistd"]
        (compare,) = [words for words in commands if words[:2] == ["statscounter", "compare"]]
        assert main(["check", *start[start.index("statscounter") + 1 :]]) == 0
        options = parser.parse_args(compare[2:])
        assert options.http != options.exporter
        shown = next((word for word in start if word.startswith("--http")), "--http=tcp:9102")
        assert f":{urlsplit(options.http).port}" in shown


def test_commands(checkout: Path) -> None:
    """Every command that the documents tell people to make is one of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (checkout / "Makefile").read_text(), re.MULTILINE))
    documents = [*checkout.glob("*.md"), *checkout.glob("docs/*.md"), *checkout.glob("newsfragments/*.md")]
    told = {
        name for path in documents for name in re.findall(r"(?:^ {4}|`)make ([a-z-]+)", path.read_text(), re.MULTILINE)
    }
    assert told
    assert told <= targets


def test_configuration_from_etsy(checkout: Path, tmp_path: Path) -> None:
    """The configuration that the page for etsy's users shows is taken, with its bins in the same order."""
    text = (checkout / "docs" / "migrating-from-etsy.md").read_text()
    (shown,) = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "shown.toml").write_text(shown)
    settings = build_settings({}, read_config(tmp_path / "shown.toml"))
    assert [(each.metric, [text for text, _ in each.limits]) for each in settings.histogram] == [
        ("time.sub", []),
        ("time", ["10", "50", "inf"]),
    ]


def test_names_that_are_taken(checkout: Path) -> None:
    """The table of docs/metrics.md tells which names are shown, and names all that the service has itself."""
    text = (checkout / "docs" / "metrics.md").read_text().partition("### Names that are taken")[2]
    rows = re.findall(r"^\| (`.+?) \| (shown|left out)(, unless)?", text, re.MULTILINE)
    told = {name: (what, bool(unless)) for names, what, unless in rows for name in re.findall("`(.+?)`", names)}
    for name, (what, unless) in told.items():
        full, timer = name.replace("...", "a"), ("ms", "a", 1.0)
        for kind in ("c", "g", "ms"):
            assert left_out((kind, full, 1.0)) == ({} if what == "shown" else {"reserved": 1}), name
            if unless:
                assert left_out(timer, (kind, full, 1.0)) == left_out((kind, full, 1.0), timer) == {"type": 1}, name
    own = {sample.name for family in ProcessCollector(registry=None).collect() for sample in family.samples}
    assert own
    assert {told[name] for name in own} == {("left out", False)}


def left_out(*series: tuple[str, str, float]) -> dict[str, int]:
    """Return how many of some series are not on the page, by the reason."""
    return {reason: number for reason, number in Exposition().conflicts(make_snapshot(*series)).items() if number}


def test_links(checkout: Path) -> None:
    """Every link to a file of the project leads to one, and behind a # to a heading of it."""
    documents = [*checkout.glob("*.md"), *checkout.glob("docs/*.md"), *checkout.glob("benchmarks/*.md")]
    links = [
        (path, link)
        for path in documents
        for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text())
        if "://" not in link
    ]
    assert links
    assert [(path.name, link) for path, link in links if not leads_somewhere(path, link)] == []


def leads_somewhere(path: Path, link: str) -> bool:
    """Return whether there is what a link in that document means."""
    name, _, heading = link.partition("#")
    target = path.parent / name if name else path
    return target.exists() and (not heading or heading in headings(target))


def headings(path: Path) -> set[str]:
    """Return the headings of a document as links name them."""
    found = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in found}
