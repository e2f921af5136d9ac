from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.cli.main import main
from tilth.report import charts
from tilth.report.diversity import plane
from tilth.report.escape import escaped, markdown, printable
from tilth.report.examples import row_html
from tilth.report.facts import Estimate, read_facts
from tilth.report.html import report_html, write_report
from tilth.rows.folder import RunFolder
from tilth.rows.row import digest
from tilth.rows.verdict import Verdict

MakeRun = Callable[..., RunFolder]
ALLOWED = {
    "html", "head", "meta", "link", "title", "style", "body", "header", "nav", "main", "footer", "section",
    "article", "div", "span", "p", "a", "b", "small", "code", "h1", "h2", "h3", "dl", "dt", "dd", "ul", "ol",
    "li", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "pre", "svg", "rect", "line",
    "circle", "text", "path",
}  # fmt: skip
VOID = {"meta", "link"}


class Tags(HTMLParser):
    """Tags and attributes of a page, and whether they nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("p", "li"):
            while self.open and self.open[-1] in ("p", "li") and self.open[-1] != tag:
                self.open.pop()
        assert self.open and self.open[-1] == tag, f"</{tag}> closes <{self.open[-1:]}>"
        self.open.pop()


def check_page(page: str) -> None:
    """Only known tags that nest, no script, no event handler, no outside resource."""
    found = Tags(page)
    assert set(found.tags) <= ALLOWED and not found.open
    for tag, name, value in found.attributes:
        assert not name.startswith("on"), f"<{tag} {name}>"
        if name == "href":
            assert value.startswith(("#", "data:,", "https://arxiv.org/abs/")), value
        assert name not in ("src", "style", "srcset"), f"<{tag} {name}={value}>"
    assert "url(" not in page.split("</style>")[0] and "@import" not in page


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("</style>")[1]))


@pytest.fixture(scope="session")
def rich_page(rich_run: RunFolder) -> str:
    return report_html(read_facts(rich_run))


def test_the_page_is_whole_and_asks_nothing_of_the_network(rich_page: str) -> None:
    check_page(rich_page)
    assert "default-src 'none'" in rich_page


def test_hostile_rows_stay_text(run_of: MakeRun) -> None:
    bad = "</p></article><script>alert(1)</script><img src=http://e.example/x onerror=alert(1)>\x00\x1b\u202e"
    id = digest("kept", 0)
    run = run_of(
        [{"prompt": bad, "completion": bad * 200, bad: bad, "messages": [{"role": bad, "content": bad}]}],
        [({"prompt": bad}, bad)],
        [(id, Verdict(bad, "pass", evidence={bad: bad}, tier=bad))],
        recipe={"id": bad, "family": bad, "cites": [bad + " arXiv:2308.01825"], "summary": bad},
        models={bad: bad},
        gates={bad: {"set": True, "passed": False, "why": bad}},
        certificate={bad: [{bad: bad}]},
        plan={"recipe": bad},
    )
    run.write_json(run.path / "advice.json", {"verdict": bad, "limits": [bad], "kept_noise": {"value": float("nan")}})
    run.write_json(run.path / "arms.json", {"arms": [{"name": bad, "accuracy": 0.5}], "predicted": {bad: 0.4}})
    run.labels.write_text('{"id": "x", "label": "right", "annotator": "<b>"}\n')
    page = write_report(run).read_text()
    check_page(page)
    assert not re.search("[\x00-\x08\x0e-\x1f\u202e]", page)
    assert "&lt;script&gt;" in page and "[U+202E]" in page


@given(st.text(), st.text())
def test_escaped_text_can_neither_open_a_tag_nor_leave_an_attribute(name: str, value: str) -> None:
    row = {"id": name, name: value, "prompt": value, "messages": [{"role": "user", "content": value}]}
    verdict = {"verifier": name, "verdict": "pass", "score": 1.0, "evidence": value, "tier": value}
    page = row_html(row, [verdict])
    assert set(Tags(page).tags) <= ALLOWED
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page)
    assert "\n" not in markdown(value) and "<" not in re.sub(r"\\.", "", markdown(value))


def test_characters_that_cannot_be_seen_become_visible() -> None:
    assert printable("a\x00b\x7f\u202e\r\nc\td") == "a\u2400b\u2421[U+202E]\nc\td"
    assert escaped("<a href=\"x\" b='y'>&") == "&lt;a href=&quot;x&quot; b=&#x27;y&#x27;&gt;&amp;"


def test_the_headline_is_the_verdict_and_else_what_was_kept(rich_page: str, run_of: MakeRun) -> None:
    assert "<h1>Adding these rows is expected to help.</h1>" in rich_page
    assert "0.371 [0.340, 0.400]" in rich_page
    run = run_of([{"text": "a"}], [({"text": "b"}, "near:duplicate")] * 2)
    assert "<h1>1 of 3 candidates kept</h1>" in report_html(read_facts(run))


def test_a_guide_is_not_sold_as_a_forecast(run_of: MakeRun) -> None:
    run = run_of([{"text": "a"}])
    figure = {"value": 0.71, "lo": 0.7, "hi": 0.72}
    run.write_json(
        run.path / "advice.json", {"verdict": "helps", "basis": "guide", "predicted": figure, "real_only": figure}
    )
    page = report_html(read_facts(run))
    assert "<h1>By the two-class guide, these rows help.</h1>" in page
    assert "0.710" not in page.split("<section")[0]


def test_every_part_that_the_run_speaks_of_is_there(rich_page: str) -> None:
    found = re.findall(r'<section id="(\w+)"', rich_page)
    assert found == [
        "funnel", "rates", "training", "checks", "lengths", "diversity", "levels", "cost", "certificate", "examples", "lineage",
        "sources", "plan",
    ]  # fmt: skip
    words = text_of(rich_page)
    for part in (
        "decontaminate:13-gram", "noise before verification ε", "0.031 to 0.114", "predicted 0.371", "p &lt; 0.001",
        "nano@8c1d22f0", "story-test", "arXiv:2203.14465", "200 labels by oracle:story-arithmetic", "temperature: 0.7",
        "20 requests a second",
    ):  # fmt: skip
        assert part in words, part


def test_a_part_of_which_the_run_says_nothing_is_left_out(run_of: MakeRun) -> None:
    run = run_of([])
    run.write_json(run.summary, {})
    run.plan.unlink()
    page = report_html(read_facts(run))
    check_page(page)
    assert re.findall(r'<section id="(\w+)"', page) == ["funnel", "plan"]


def test_counts_that_do_not_add_up_and_unfinished_runs_are_said(run_of: MakeRun) -> None:
    page = report_html(read_facts(run_of([{"text": "a"}], candidates=9, state="interrupted")))
    assert "The counts do not add up: 1 of 9" in page
    assert "This run is not finished (interrupted)" in page


def test_the_rows_shown_are_the_same_each_time_and_all_reasons_are_shown(rich_run: RunFolder, rich_page: str) -> None:
    assert report_html(read_facts(rich_run)) == rich_page
    examples = rich_page.split('<section id="examples"')[1].split("</section>")[0]
    for reason in read_facts(rich_run).dropped:
        assert f"<code>{reason}</code>" in examples
    assert examples.count("<article>") == 3 * (1 + len(read_facts(rich_run).dropped))


def test_long_texts_are_folded_and_very_long_ones_cut_with_a_word_about_it(run_of: MakeRun) -> None:
    page = report_html(read_facts(run_of([{"text": "word " * 500}, {"text": "x" * 30_000}])))
    assert "all 2,500 characters" in page
    assert "[10,000 more characters]" in page


def test_broken_advice_is_named(run_of: MakeRun, capsys: Any) -> None:
    run = run_of([{"text": "a"}])
    (run.path / "advice.json").write_text("{'")
    assert main(["report", str(run.path)]) == 2
    assert "advice.json" in capsys.readouterr().err


def test_the_verb_writes_card_and_report_and_names_them(run_of: MakeRun, capsys: Any) -> None:
    run = run_of([{"text": "a"}])
    assert main(["report", str(run.path)]) == 0
    assert capsys.readouterr().out.split() == [str(run.report), str(run.card)]
    assert run.report.is_file() and run.card.read_text().startswith("---\nconfigs:")
    assert main(["report", str(run.path / "data")]) == 2
    assert main(["view", str(run.path / "data")]) == 2


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60))
def test_every_length_falls_into_one_bin(values: list[int]) -> None:
    edges = charts.bin_edges(values)
    assert edges == sorted(set(edges)) and len(edges) <= 30
    assert sum(charts.counts_in(values, edges)) == len(values)


FINITE = st.floats(-1e6, 1e6)


@given(FINITE, st.floats(1e-6, 1e6))
def test_ticks_are_few_and_lie_within_the_axis(lo: float, span: float) -> None:
    ticks = charts.nice_ticks(lo, lo + span)
    assert len(ticks) <= 8
    assert all(lo - 1e-6 * span - 1e-6 <= tick <= lo + span + 1e-6 * span + 1e-6 for tick in ticks)


@given(FINITE, FINITE, FINITE)
def test_no_figure_is_drawn_beyond_the_axis(value: float, lo: float, hi: float) -> None:
    mark = charts.Mark("a", Estimate(value, min(lo, hi), max(lo, hi)), "b")
    drawn = charts.intervals([mark], "n", *charts.span_of([mark]))
    assert all(0 <= float(x) <= 100 for x in re.findall(r'c?x\d?="(-?[\d.]+)%"', drawn))


BROWSER_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.mark.browser
def test_a_browser_shows_the_page_without_errors_requests_or_sideways_scrolling(
    rich_run: RunFolder, rich_page: str, tmp_path: Path
) -> None:
    import shutil

    from playwright.sync_api import sync_playwright

    page_file = tmp_path / "report.html"
    page_file.write_text(rich_page)
    binary = next(path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name)))
    said: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=binary, args=BROWSER_FLAGS)
        for width, scheme in ((1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")):
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
            page = context.new_page()
            page.on("console", lambda message: said.append(f"console: {message.text}"))
            page.on("pageerror", lambda error: said.append(f"error: {error}"))
            page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
            page.on("request", lambda request: said.append(f"request: {request.url}"))
            page.goto(page_file.as_uri())
            for details in page.locator("details").all():
                details.evaluate("d => d.open = true")
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{wide} px wide at {width} px, {scheme}"
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            shade = sum(int(x) for x in re.findall(r"\d+", background)[:3]) / 3
            assert (shade < 64) == (scheme == "dark")
            assert page.locator("section").count() == 13
            context.close()
        browser.close()
    assert [word for word in said if word != f"request: {page_file.as_uri()}"] == []


def test_labels_move_the_levels_on_the_page_and_on_the_card(run_of: MakeRun) -> None:
    from tilth.report.card import card_text
    from tilth.rows.lineage import Event, Lineage

    written = (Event("wrote", "machine", "m"),)
    lines = [Lineage(digest("kept", i), events=written, level=5) for i in range(4)]
    run = run_of([{"text": f"row {i}"} for i in range(4)], lineage=lines, levels={"5": 4})
    assert "The dataset's level is 5" in text_of(report_html(read_facts(run)))
    who = f'"id": "{digest("kept", 0)}", "annotator": "ada"'
    run.labels.write_text(f'{{{who}, "label": "right"}}\n')
    page, card = text_of(report_html(read_facts(run))), card_text(read_facts(run))
    assert "The dataset's level is 4" in page and "4 before the audit" in page
    assert "The dataset's level is **4**" in card and "people label a sample (after the audit)" in card
    run.labels.write_text(f'{{{who}, "label": "right"}}\n{{{who}, "label": null, "undo": true}}\n')
    facts = read_facts(run)
    assert facts.labels == () and facts.unreadable_labels == 0
    assert "The dataset's level is 5" in text_of(report_html(facts))


def test_what_the_method_is_stands_in_the_headline(run_of: MakeRun) -> None:
    run = run_of([{"text": "a"}], recipe={"id": "complete", "summary": "n answers to each prompt"})
    assert "By complete : n answers to each prompt." in text_of(report_html(read_facts(run)))
    run.write_json(run.path / "advice.json", {"verdict": "helps"})
    assert "kept by complete : n answers to each prompt." in text_of(report_html(read_facts(run)))


@given(st.lists(st.text(max_size=60), min_size=2, max_size=30))
@settings(max_examples=25)
def test_every_text_lies_on_the_map(texts: list[str]) -> None:
    points = plane(texts)
    assert points is None or (points.shape == (len(texts), 2) and (points >= 0).all() and (points <= 1).all())


def test_texts_that_share_words_lie_together_on_the_map(run_of: MakeRun) -> None:
    groups = (["the cat sat on the mat"] * 10, ["prime numbers are odd beyond two"] * 10, ["rain fell all day"] * 10)
    points = plane([f"{text} {i}" for texts in groups for i, text in enumerate(texts)])
    assert points is not None
    middles = [points[10 * g : 10 * g + 10].mean(axis=0) for g in range(3)]
    for g in range(3):
        own = abs(points[10 * g : 10 * g + 10] - middles[g]).sum(axis=1).max()
        assert own < min(abs(middles[g] - middles[h]).sum() for h in range(3) if h != g)
    page = report_html(read_facts(run_of([{"text": "one two"}] * 3)))
    assert 'id="diversity"' not in page
