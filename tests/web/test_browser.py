"""The review page driven by keyboard and touch in a real browser, over a real server."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.browser
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    binary = next(path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name)))
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=binary, args=FLAGS)
        yield started
        started.close()


class Watched:
    """A browser tab that notes what goes wrong and where it sends requests."""

    def __init__(self, browser: Any, url: str, width: int = 1280, scheme: str = "light", **more: Any) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 860}, color_scheme=scheme, **more)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("console", lambda m: self.faults.append(m.text))
        self.page.on("pageerror", lambda e: self.faults.append(str(e)))
        self.page.on("dialog", lambda d: self.faults.append(d.message))
        home = url.split("/review")[0].split("/rows")[0]
        self.page.on("request", lambda r: r.url.startswith((home, "data:")) or self.faults.append(r.url))
        self.page.goto(url)

    @property
    def row(self) -> str:
        return str(self.page.locator("article[data-row]").get_attribute("data-row"))

    @property
    def done(self) -> int:
        return int(self.page.locator("#done").inner_text())

    def press(self, key: str, done: int) -> None:
        self.page.keyboard.press(key)
        self.wait(done)

    def wait(self, done: int) -> None:
        self.page.locator("#done", has_text=re.compile(f"^{done}$")).wait_for()

    def interval(self, figure: str = "kept_noise") -> float:
        words = self.page.locator(f'[data-figure="{figure}"] small').inner_text()
        low, high = map(float, re.findall(r"[\d.]+", words))
        return high - low


def test_a_review_by_keyboard_stores_labels_and_the_interval_shrinks(browser: Any, made: Any, serve: Any) -> None:
    server = serve(made.folder.path, "--sample", "40")
    tab = Watched(browser, server.url)
    widths, given = [], []
    for n in range(1, 25):
        id = tab.row
        given.append((id, "wrong" if id in made.wrong else "right"))
        tab.press("w" if id in made.wrong else "r", n)
        if n in (4, 24):
            widths.append(tab.interval("epsilon"))
    assert widths[1] < 0.75 * widths[0]
    assert [(v["id"], v["label"]) for v in made.labels] == given
    assert all(v["annotator"] == "ada" and v["at"] and v["blind"] for v in made.labels)
    tab.press("z", 23)
    assert tab.row == given[-1][0]
    tab.page.keyboard.press("e")
    tab.page.wait_for_selector(".evidence")
    tab.press("u", 24)
    assert (made.labels[-1]["label"], made.labels[-1]["blind"]) == ("unsure", False)
    before = tab.row
    tab.page.keyboard.press("s")
    tab.page.locator(f"article[data-row]:not([data-row='{before}'])").wait_for()
    assert tab.faults == []
    tab.context.close()


def test_a_correction_by_keyboard_becomes_a_new_row(browser: Any, made: Any, serve: Any) -> None:
    from tilth.audit.fixes import NAME, read_fixes

    server = serve(made.folder.path)
    tab = Watched(browser, server.url)
    id = tab.row
    tab.page.keyboard.press("f")
    box = tab.page.locator("textarea[name='column.completion']")
    box.wait_for()
    tab.page.keyboard.press("Escape")
    tab.page.wait_for_selector("[data-row]")
    tab.page.keyboard.press("f")
    box.wait_for()
    tab.page.keyboard.press("Control+a")
    tab.page.keyboard.type("rwu: not keys\n#### 1")
    tab.press("Control+Enter", 1)
    (fix,) = read_fixes(made.folder.path / NAME)
    assert (fix.parent, fix.columns["completion"]) == (id, "rwu: not keys\n#### 1")
    assert [(v["id"], v["label"]) for v in made.labels] == [(id, "wrong")]
    assert tab.faults == []
    tab.context.close()


def test_nothing_is_lost_when_the_server_is_killed(browser: Any, made: Any, serve: Any) -> None:
    server = serve(made.folder.path)
    tab = Watched(browser, server.url)
    given = []
    for n in range(1, 6):
        given.append(tab.row)
        tab.press("r", n)
    server.stop(hard=True)
    kept = tab.row
    tab.page.keyboard.press("r")
    tab.page.wait_for_selector("#alarm:not([hidden])")
    assert "Not stored" in tab.page.locator("#alarm").inner_text() and tab.row == kept
    assert [v["id"] for v in made.labels] == given
    again = Watched(browser, serve(made.folder.path).url)
    assert again.done == 5 and again.row == kept
    again.press("w", 6)
    assert [v["id"] for v in made.labels] == [*given, kept]
    for one in (tab, again):
        one.context.close()


def test_nothing_is_lost_when_the_browser_is_closed_mid_answer(browser: Any, made: Any, serve: Any) -> None:
    server = serve(made.folder.path)
    tab = Watched(browser, server.url)
    tab.press("r", 1)
    tab.page.keyboard.press("w")
    tab.page.evaluate("0")
    tab.context.close()
    time.sleep(0.3)
    again = Watched(browser, server.url)
    assert again.done == len(made.labels) >= 1
    again.context.close()


def test_it_works_by_touch_on_a_small_screen_and_without_scripts(browser: Any, made: Any, serve: Any) -> None:
    server = serve(made.folder.path)
    small = Watched(browser, server.url, 400, has_touch=True)
    for n, word in enumerate(("Right", "Wrong", "Unsure"), 1):
        button = small.page.get_by_role("button", name=word)
        size = button.bounding_box()
        assert size is not None and size["height"] >= 44 and size["y"] + size["height"] <= 860
        button.tap()
        small.wait(n)
    small.context.close()
    plain = Watched(browser, server.url, java_script_enabled=False)
    plain.page.get_by_role("button", name="Wrong").click()
    assert plain.done == 4
    plain.page.get_by_role("button", name="Undo").click()
    assert plain.done == 3
    plain.page.get_by_role("link", name="Fix").click()
    plain.page.locator("textarea").first.fill("mended")
    plain.page.get_by_role("button", name="Save").click()
    assert plain.done == 4 and made.labels[-1]["label"] == "wrong"
    plain.context.close()


def test_two_people_label_the_same_rows_and_see_how_far_they_agree(browser: Any, made: Any, serve: Any) -> None:
    server = serve(made.folder.path, "--sample", "10")
    ada = Watched(browser, server.url)
    for n in range(1, 5):
        ada.press("r", n)
    ada.page.locator("#who").fill("ben")
    ada.page.keyboard.press("Enter")
    ada.page.wait_for_url("**annotator=ben")
    assert ada.done == 0
    for n in range(1, 5):
        ada.press("w" if n == 1 else "r", n)
    assert "2 annotators agree on 75% of 4 shared rows" in ada.page.locator(".people").inner_text()
    assert [v["annotator"] for v in made.labels] == ["ada"] * 4 + ["ben"] * 4
    ada.context.close()


def test_pages_fit_every_width_in_both_schemes(browser: Any, made: Any, serve: Any) -> None:
    server = serve(made.folder.path, verb="view")
    home = server.url.split("/rows")[0]
    for width, scheme in ((1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")):
        tab = Watched(browser, server.url, width, scheme)
        places = ["rows", f"row?id={made.kept[1]}", f"row?id={made.kept[2]}", "report"]
        places += [f"review?row={made.kept[1]}&reveal={made.kept[1]}", "review?fix=1", "rows?q=nothing+fits"]
        if (width, scheme) in ((1280, "dark"), (400, "light")):
            places = ["rows", "review"]
        for place in places:
            tab.page.goto(f"{home}/{place}")
            wide = tab.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{place} is {wide} px wide at {width} px"
            background = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
            shade = sum(int(x) for x in re.findall(r"\d+", background)[:3]) / 3
            assert (shade < 64) == (scheme == "dark")
        assert tab.faults == []
        tab.context.close()


def test_rows_are_found_by_keyboard(browser: Any, made: Any, serve: Any) -> None:
    tab = Watched(browser, serve(made.folder.path, verb="view").url)
    tab.page.keyboard.press("/")
    tab.page.keyboard.type("what is 8 + 8")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_url("**q=what**")
    assert tab.page.locator("ol.rows li").count() == 1
    tab.page.locator("ol.rows a").click()
    tab.page.wait_for_url("**/row?**")
    assert "What is 8 + 8?" in tab.page.locator("article.row").first.inner_text()
    tab.page.keyboard.press("Escape")
    tab.page.wait_for_url("**/rows?**")
    assert tab.faults == []
    tab.context.close()
