"""The pages' addresses: review, rows, one row, the report, and their style and script. An ASGI application."""

from __future__ import annotations

from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from tilth.errors import InputError, TilthError
from tilth.web import browse_page
from tilth.web.frame import page
from tilth.web.guard import BODY_LIMIT, Guard
from tilth.web.review import Review
from tilth.web.review_page import corrected, review_body

NAME_LENGTH = 80


def make_app(review: Review, token: str, annotator: str = "") -> Guard:
    """The application.

    Args:
        review: the run under review.
        token: first part of every path.
        annotator: the name when a page is asked without one.
    """
    pages = _Pages(review, annotator)
    routes = [
        Route("/", pages.home),
        Route("/review", pages.review, methods=["GET"]),
        Route("/review", pages.answer, methods=["POST"]),
        Route("/rows", pages.rows),
        Route("/row", pages.row),
        Route("/report", pages.report),
        Route("/style.css", lambda _: _file("text/css", "tilth.report/style.css", "tilth.web/static/web.css")),
        Route("/review.js", lambda _: _file("text/javascript", "tilth.web/static/review.js")),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={TilthError: _trouble}), token)


class _Pages:
    def __init__(self, review: Review, annotator: str) -> None:
        self._review, self._annotator = review, annotator
        self._run = review.folder.path.resolve().name
        self._problem: dict[str, str] = {}
        self._said: dict[str, str] = {}

    async def home(self, request: Request) -> Response:
        return RedirectResponse("review", 303)

    def _who(self, given: Any) -> str:
        return " ".join(str(given).split())[:NAME_LENGTH] if given else self._annotator

    async def review(self, request: Request) -> Response:
        query = request.query_params
        who = self._who(query.get("annotator"))
        review = self._review
        if query.get("reveal"):
            review.reveal(who, query["reveal"])
        if query.get("row"):
            review.show(who, query["row"])
        body = review_body(
            review,
            who,
            fixing=bool(query.get("fix")),
            problem=self._problem.pop(who, ""),
            said=self._said.pop(who, ""),
        )
        return HTMLResponse(page(f"Review \u00b7 {self._run}", self._run, "review", body, who))

    async def answer(self, request: Request) -> Response:
        form = await _form(request)
        who, id, review = self._who(form.get("annotator")), form.get("id", ""), self._review
        back, did = {"annotator": who}, form.get("do", "")
        try:
            if form.get("label"):
                review.label(id, form["label"], who)
                self._said[who] = f"stored: {form['label']}"
            elif did == "fix":
                texts = {k.removeprefix("column."): v for k, v in form.items() if k.startswith("column.")}
                review.fix(id, corrected(review.row(id), texts), who)
                self._said[who] = "stored: a corrected row"
            elif did == "undo":
                self._said[who] = "taken back" if review.undo(who) else "nothing to undo"
            elif did == "skip":
                review.skip(who)
            elif did == "more":
                review.more()
        except TilthError as error:
            self._problem[who] = str(error)
            back |= {"fix": "1"} if did == "fix" else {}
        return RedirectResponse("review?" + urlencode(back), 303)

    async def rows(self, request: Request) -> Response:
        who = self._who(request.query_params.get("annotator"))
        asked = browse_page.Asked.of(request.query_params)
        body = await run_in_threadpool(browse_page.rows_body, self._review.folder, asked, who)
        return HTMLResponse(page(f"Rows \u00b7 {self._run}", self._run, "rows", body, who))

    async def row(self, request: Request) -> Response:
        query = request.query_params
        who = self._who(query.get("annotator"))
        asked = browse_page.Asked.of(query)
        body = await run_in_threadpool(browse_page.row_body, self._review.folder, query.get("id", ""), asked, who)
        return HTMLResponse(page(f"Row \u00b7 {self._run}", self._run, "rows", body, who))

    async def report(self, request: Request) -> Response:
        from tilth.report.facts import read_facts
        from tilth.report.html import report_html

        facts = await run_in_threadpool(read_facts, self._review.folder)
        return HTMLResponse(await run_in_threadpool(report_html, facts))


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form; the last of each name."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise InputError("the answer is too large", todo="shorten it")
    given = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=500)
    return {name: values[-1] for name, values in given.items()}


async def _trouble(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{error}\n", 404 if isinstance(error, InputError) else 400)


def _file(kind: str, *names: str) -> Response:
    texts = [files(room).joinpath(path).read_text("utf-8") for room, _, path in (name.partition("/") for name in names)]
    return Response("\n".join(texts), media_type=kind)
