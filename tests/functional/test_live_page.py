"""The page for people in a real browser: it moves, it obeys its policy, and everybody can read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.browser import Browser
from tests.functional.clients import bare, half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.service import LOOPBACK, Service, options
from tests.functional.waiting import until
from tests.npm import node_path
from tests.ports import free_port

CHARTS = 10
SERIOUS = {"serious", "critical"}

NEWEST = "return charts[0].plot.data[0].at(-1);"
"""The time of the newest points."""

HAS_RISEN = """
const chart = charts.find((each) => each.spec.field === arguments[0]);
const [times, ...lines] = chart.plot.data;
return lines.some((values) => values.some((value, i) => times[i] > arguments[1] && value > 0));
"""
"""Whether a line of a chart has been above 0 since that time: a point is the newest for no more than a second."""

DRAWN = """
let drawn = 0;
const show = charts[0].show.bind(charts[0]);
charts[0].show = (some) => { drawn += 1; show(some); };
const last = JSON.stringify(moments.at(-1));
while (moments.length < KEPT) moments.unshift(moments[0]);
draw();
for (let number = 0; number < 59; number += 1) source.dispatchEvent(new MessageEvent("moment", { data: last }));
return drawn;
"""
"""How often a chart is drawn, once for the beginning, while 59 moments come when ten minutes are there."""

AXE = """
const done = arguments[arguments.length - 1];
axe.run().then((result) => done(result.violations.map((one) => [one.impact, one.id, one.nodes.map((n) => n.html)])));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Yield a browser."""
    with Browser(tmp_path_factory.mktemp("browser")) as made:
        yield made


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield the one service, with something to show in each part of the page."""
    folder = tmp_path_factory.mktemp("service")
    made = Service(folder, options(folder / "state", more=["--node=web-1", "--who=all"]))
    try:
        made.start()
        half_close(made.port("lines"), b"hits:1|c\nnothing\nlevel:1|g\nlevel:1|c\n")
        made.settled()
        yield made
    finally:
        made.end()


def seen(browser: Browser, script: str, *arguments: object) -> Any:
    """Wait until a script in the page returns something true, and return it."""
    return until(lambda: browser.run(script, *arguments), "the page shows it")


def open_page(browser: Browser, service: Service, width: int = 1280, height: int = 1000, scheme: str = "light") -> None:
    """Open the page, and wait until its charts have points."""
    browser.look(width, height, scheme)
    browser.messages()
    browser.open(f"http://127.0.0.1:{service.http_port}/")
    seen(browser, "return charts.length > 0 && moments.length > 1")


def test_it_moves(browser: Browser, service: Service) -> None:
    """Charts follow what clients do, and the tables follow too, without another request for the page."""
    open_page(browser, service)
    loaded = browser.run("return performance.timeOrigin")
    assert browser.run("return document.querySelectorAll('figure').length") == CHARTS
    assert "web-1" in browser.run("return document.querySelector('h1').textContent")
    before = browser.run(NEWEST)
    for _ in range(20):
        bare(service.port("bare"))
    seen(browser, HAS_RISEN, "accepted", before)
    cells = "return [...document.querySelectorAll('#tables td')].map((cell) => cell.textContent)"
    until(lambda: "20" in browser.run(cells), "the table has them")
    for cell in ("malformed_line", "nothing"):
        assert cell in browser.run(cells)
    # Sources are shown to those on this machine, in a chart and a table.
    seen(browser, HAS_RISEN, "sources", before)
    sources = "return [...document.querySelectorAll('#sources td')].map((cell) => cell.textContent)"
    until(lambda: browser.run(sources)[:2] == ["127.0.0.1", "bare"], "the table has them")
    assert browser.run("return performance.timeOrigin") == loaded
    assert browser.messages() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it(browser: Browser, service: Service, scheme: str) -> None:
    """In both schemes, with all tables open, axe finds nothing serious: names, contrast, keyboard, structure."""
    axe = node_path("axe-core/axe.min.js") / "axe-core/axe.min.js"
    open_page(browser, service, scheme=scheme)
    browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    seen(browser, "return document.querySelectorAll('.figures table').length === arguments[0]", CHARTS)
    browser.run(axe.read_text())
    found = [violation for violation in browser.run_async(AXE) if violation[0] in SERIOUS]
    assert found == []


def test_a_narrow_screen(browser: Browser, service: Service) -> None:
    """At 360 pixels nothing is wider than the screen."""
    open_page(browser, service, width=360)
    assert browser.run("return document.documentElement.scrollWidth") == 360


def test_the_numbers_behind_a_chart(browser: Browser, service: Service) -> None:
    """Each chart has its numbers in a table, for those who cannot see it."""
    open_page(browser, service)
    browser.run("document.querySelector('details').open = true")
    heads = seen(browser, "return [...document.querySelectorAll('.figures th')].map((cell) => cell.textContent)")
    assert heads == ["time", "bare", "lines"]
    label = browser.run("return document.querySelector('.plot').getAttribute('aria-label')")
    assert label.startswith("Connections per second: bare ")


def test_less_motion(browser: Browser, service: Service) -> None:
    """For those who like less motion charts are drawn once in ten moments, also when ten minutes are kept."""
    open_page(browser, service)
    browser.look(1280, 1000, motion="reduce")
    drawn = browser.run(DRAWN)
    assert drawn == 6


def test_charts_are_not_left_behind(browser: Browser, service: Service) -> None:
    """Charts that are made again, as for another scheme, take the place of the former ones."""
    open_page(browser, service)
    assert browser.run("const former = charts[0]; begin(); return [former.plot, charts.length]") == [None, CHARTS]


def test_nobody_looks(browser: Browser, service: Service) -> None:
    """A page that is hidden closes its stream, and has all that it missed when it is looked at again."""
    open_page(browser, service)
    browser.minimize()
    seen(browser, "return document.hidden && source === null")
    last = browser.run("return moments.at(-1).at")
    browser.restore()
    assert seen(browser, "return source?.readyState === 1 && moments.some((one) => one.at > arguments[0])", last)
    assert browser.run("return moments.every((one, i) => i === 0 || one.at > moments[i - 1].at)")


def test_without_scripts(service: Service) -> None:
    """Without scripts the page says the same, and browsers ask again after some seconds."""
    text = service.page("/").text
    assert '<noscript><meta http-equiv="refresh"' in text
    assert "<td>malformed_line</td>" in text


def test_the_connection_is_lost(browser: Browser, start_service: ServiceMaker) -> None:
    """A service that is gone is said on the page, and when it is there again the charts go on by themselves."""
    service = start_service(http=f"tcp:{free_port()}:{LOOPBACK}")
    open_page(browser, service)
    service.stop()
    seen(browser, "return stream.textContent.includes('trying again')")
    service.start()
    seen(browser, "return stream.textContent === 'live'")


def test_pictures(browser: Browser, service: Service, tmp_path: Path) -> None:
    """The page is drawn in both schemes, and they differ."""
    pictures = []
    for scheme in ("light", "dark"):
        open_page(browser, service, scheme=scheme)
        pictures.append(browser.picture())
        (tmp_path / f"{scheme}.png").write_bytes(pictures[-1])
    assert pictures[0] != pictures[1]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
