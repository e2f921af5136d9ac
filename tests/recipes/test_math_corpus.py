"""math-corpus: formulas survive the markup, recall grows by round into unseen domains, planted benchmark texts go."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.errors import UsageError
from tilth.journal.store import Journal
from tilth.models import open_model
from tilth.models.base import Request
from tilth.models.doubles import FunctionModel
from tilth.recipes.maths.markup import math_spans, page_text
from tilth.recipes.maths.math_corpus import domain_and_path, math_corpus, same_address

ALGEBRA = ["equation", "solve", "root", "polynomial", "factor", "integer", "divide", "unknown", "term", "degree"]
PROOFS = ["theorem", "lemma", "proof", "suppose", "converges", "compact", "measure", "norm", "closed", "limit"]
COOKING = ["butter", "oven", "flour", "stir", "bake", "sugar", "salt", "bowl", "minutes", "dough"]
COMMON = [f"common{i}" for i in range(60)]
FORMULAS = [r"x^2+1=0", r"\frac{a}{b}", r"a<b", r"\sum_{i=1}^{n} i"]


def page(own: list[str], n: int, url: str, tail: str = "", **more: object) -> dict:
    rng = random.Random(f"{url}{n}")
    body = rng.choices(own, k=16) + rng.choices(COMMON, k=24)
    rng.shuffle(body)
    return {"text": " ".join(body) + f" page{n} {tail}", "url": f"https://{url}/p{n}", **more}


def pile() -> list[dict]:
    """Algebra pages known from one domain; proofs behind a domain never seen, every eighth of which speaks of algebra too."""
    pages = [page(ALGEBRA, n, "algebra.org/wiki", kind="algebra", positive=n < 20) for n in range(60)]
    for n in range(50):
        pages.append(page(PROOFS + ALGEBRA * 3 if n % 4 == 0 else PROOFS, n, "proofs.net/text", kind="proofs"))
    pages += [page(COOKING, n, "food.com/recipes", kind="cooking") for n in range(90)]
    return pages + [page(COOKING, n, "proofs.net/canteen", kind="cooking") for n in range(16)]


def judge(said: str | None = None) -> FunctionModel:
    def answer(request: Request, draw: int) -> str:
        return said or ("yes" if {*PROOFS, *ALGEBRA} & set(request.text.split()) else "no")

    return FunctionModel(answer, f"judge{said}")


def run(rows: list[dict] | None = None, judged: FunctionModel | None = None, **settings: object) -> Harvested:
    models = {"judge": judged or judge()}
    return run_recipe(math_corpus, rows or pile(), models, **settings)  # type: ignore[arg-type]


def recall(found: Harvested, kind: str) -> float:
    everything = [*found.kept, *(r for r, _ in found.dropped)]
    return sum(r["kind"] == kind for r in found.kept) / sum(r["kind"] == kind for r in everything)


def test_recall_grows_by_round_into_a_domain_that_no_seed_is_from() -> None:
    one, more = run(rounds=1), run()
    assert recall(one, "algebra") > 0.9 and recall(one, "proofs") < 0.6
    assert recall(more, "proofs") > 0.9 and recall(more, "cooking") < 0.1
    assert {r["round"] for r in more.kept if r["kind"] == "proofs"} >= {1, 2}
    assert all(r["round"] == 0 for r in more.kept if r.get("positive"))


def test_a_judge_who_sees_no_mathematics_stops_the_spread() -> None:
    assert recall(run(judged=judge("no")), "proofs") < 0.6
    unread = run(judged=judge("maybe"))
    assert unread.numbers.notes["paths unread"] >= 1


def test_without_a_judge_the_share_of_a_path_decides() -> None:
    found = run_recipe(math_corpus, pile(), {})
    assert recall(found, "proofs") > 0.9 and recall(found, "cooking") < 0.1


def test_mining_ends_when_a_round_finds_what_is_known() -> None:
    notes = run(rounds=9).numbers.notes
    assert 2 <= sum(name.startswith("collected") for name in notes) < 9


def test_planted_benchmark_texts_go_at_ten_words_and_stay_at_fifty(tmp_path: Path) -> None:
    item = "A train leaves with seventeen people and eleven more get in at every one of its five stops"
    (tmp_path / "exam.jsonl").write_text(
        json.dumps({"prompt": item}) + "\n" + json.dumps({"prompt": "Solve the cubic"}) + "\n"
    )
    bench = str(tmp_path / "exam.jsonl")
    rows = [
        *pile(),
        page(ALGEBRA, 900, "algebra.org/wiki", item, kind="planted"),
        page(ALGEBRA, 901, "algebra.org/wiki", "now solve the cubic, please", kind="short"),
    ]
    dropped = Counter(reason for _, reason in run(rows, benchmarks=bench).dropped if reason.startswith("decontaminate"))
    assert dropped == {"decontaminate:10-gram:exam.jsonl": 1, "decontaminate:whole:exam.jsonl": 1}
    loose = run(rows, benchmarks=bench, ngram=50)
    assert [r["kind"] for r in loose.kept if r["kind"] == "planted"] == ["planted"]


def test_repeated_addresses_near_copies_and_empty_pages_are_put_aside() -> None:
    rows = pile()
    rows += [
        {**rows[0], "url": "http://www.algebra.org/wiki/p0/"},
        {**rows[1], "url": "https://b.org/x"},
        {"text": " ", "url": ""},
    ]
    reasons = Counter(reason for _, reason in run(rows).dropped)
    assert reasons["duplicate:url"] == 1 and reasons["near:duplicate"] == 1 and reasons["page:empty"] == 1


@pytest.mark.parametrize("tex", FORMULAS)
@pytest.mark.parametrize(
    "markup",
    [
        '<math><semantics><mi>x</mi><annotation encoding="application/x-tex">{tex}</annotation></semantics></math>',
        '<math alttext="{tex}"><mi>x</mi></math>',
        '<script type="math/tex">{tex}</script>',
        '<script type="math/tex; mode=display">{tex}</script>',
        '<img class="tex" src="a.png" alt="{tex}">',
    ],
)
def test_every_formula_survives_every_markup(tex: str, markup: str) -> None:
    import html

    shown = tex if markup.startswith("<script") else html.escape(tex)
    text = page_text(
        f"<html><style>p {{}}</style><p>Let {markup.format(tex=shown)} be &lt; given.</p><!-- no --></html>"
    )
    assert math_spans(text) == [tex] and text.startswith("Let $") and text.endswith("be < given.")


def test_latex_in_plain_text_is_found_and_money_is_not() -> None:
    assert math_spans(r"Let $a+b$ and \(c\) with \[d\] and $$e$$ and \begin{align}f\end{align}") == [
        "a+b",
        "c",
        "d",
        "e",
        "f",
    ]
    assert math_spans("It costs $5 today and $7 tomorrow.") == []


def test_addresses_are_read_with_and_without_scheme() -> None:
    assert domain_and_path("https://www.Proofs.net/text/p1") == ("proofs.net", "proofs.net/text")
    assert domain_and_path("proofs.net") == ("proofs.net", "proofs.net/")
    assert same_address("HTTP://www.a.org/x/?q=1#top") == same_address("https://a.org/x?q=1") == "a.org/x?q=1"


def test_without_seeds_or_without_others_it_refuses() -> None:
    with pytest.raises(UsageError, match="marked"):
        run([{**r, "positive": False} for r in pile()[:30]])
    with pytest.raises(UsageError, match="marked"):
        run([{**r, "positive": True} for r in pile()[:30]])


def test_hostile_judges_lose_nothing_and_a_second_run_sends_nothing() -> None:
    n = run_recipe(math_corpus, pile(), {"judge": open_model("hostile")}).numbers
    assert n.candidates == n.kept + sum(n.dropped.values()) == 216 and not n.failed
    journal, model = Journal(":memory:"), judge()
    first = run(judged=model, rounds=2, journal=journal)
    sent = model.sent
    again = run(judged=model, rounds=2, journal=journal)
    assert model.sent == sent > 0 and [dict(r) for r in again.kept] == [dict(r) for r in first.kept]
