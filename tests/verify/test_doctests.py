"""Docstring examples become asserts where their result is data; secrets are found by their forms, placeholders are not."""

from __future__ import annotations

import pytest

from tilth.verify.doctests import doctest_asserts
from tilth.verify.secrets import find_secret


def program(*lines: str) -> str:
    return 'def f(x):\n    """Doubles.\n\n' + "".join(f"    {line}\n" for line in lines) + '    """\n    return 2 * x\n'


def test_an_example_with_a_literal_result_is_an_assert() -> None:
    assert doctest_asserts(program(">>> f(2)", "4", ">>> f([1])", "[1, 1]")) == [
        "assert (f(2)) == (4)", "assert (f([1])) == ([1, 1])",
    ]  # fmt: skip


def test_statements_between_examples_stay() -> None:
    assert doctest_asserts(program(">>> y = f(2)", ">>> y", "4")) == ["y = f(2)", "assert (y) == (4)"]


@pytest.mark.parametrize(
    "lines",
    [
        (">>> print(f(2))", "4"),
        (">>> f(None)", "Traceback (most recent call last):", "TypeError: no"),
        (">>> f(2)",),
        (">>> f(2", "4"),
        ("f(2) is 4",),
        (">>> object()", "<object ...>"),
    ],
)
def test_what_cannot_be_compared_as_data_is_no_test(lines: tuple[str, ...]) -> None:
    assert doctest_asserts(program(*lines)) == []


def test_a_result_that_is_no_literal_is_compared_by_its_spelling() -> None:
    assert doctest_asserts(program(">>> f(z)", "Fraction(1, 2)")) == ["assert repr(f(z)) == 'Fraction(1, 2)'"]


@pytest.mark.parametrize("source", ["def f(:", "", "\0", "x = 1"])
def test_a_source_without_examples_gives_none(source: str) -> None:
    assert doctest_asserts(source) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("key = 'AKIA" + "ABCDEFGH12345678'", "aws-key"),
        ("-----BEGIN RSA PRIVATE " + "KEY-----", "private-key"),
        ("ghp_" + "a1B2" * 9, "github-token"),
        ("postgres://me:hunter22x@db.example.org/x", "url-password"),
        ("password = 'k3J9vQ2mZ8pL'", "assigned"),
        ('{"api_key": "9f8e7d6c5b4a39281706"}', "assigned"),
        ("password = 'your-password-here'", None),
        ("password = 'aaaaaaaaaaaa1'", None),
        ("password = os.environ['PASSWORD']", None),
        ("token = tokens[index_of_the_last_one]", None),
        ("https://example.org/a:b@c", None),
        ("postgres://me:$PASSWORD@db/x", None),
        ("AKIA is a prefix", None),
    ],
)
def test_each_form_of_a_secret_is_found_and_its_near_misses_are_not(text: str, kind: str | None) -> None:
    assert find_secret(text) == kind
