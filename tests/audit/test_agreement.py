"""Agreement of annotators beyond chance."""

from __future__ import annotations

import pytest

from tilth import audit

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C: four observers, twelve units, with gaps.
WORKED = (
    "1,2,3,3,2,1,4,1,2,-,-,-",
    "1,2,3,3,2,2,4,1,2,5,-,3",
    "-,3,3,3,2,3,4,2,2,5,1,-",
    "1,2,3,3,2,4,4,1,2,5,1,-",
)


def test_alpha_of_the_worked_example_is_the_published_one() -> None:
    columns = zip(*(line.split(",") for line in WORKED), strict=True)
    table = [[None if word == "-" else word for word in column] for column in columns]
    assert audit.krippendorff_alpha(table) == pytest.approx(0.743, abs=5e-4)


def test_alpha_is_undefined_where_nobody_could_disagree() -> None:
    assert audit.krippendorff_alpha([["right", "right"], ["right", None]]) is None


def test_kappa_and_alpha_come_with_intervals_that_narrow_with_rows() -> None:
    def found(times: int) -> audit.Agreement:
        words = [("right", "right")] * 6 + [("wrong", "wrong")] * 2 + [("right", "wrong")] * 2
        pairs = [pair for _ in range(times) for pair in words]
        labels = [
            {"id": str(i), "label": word, "annotator": str(k)}
            for i, pair in enumerate(pairs)
            for k, word in enumerate(pair)
        ]
        result = audit.agreement(labels)
        assert result is not None
        return result

    few, many = found(3), found(30)
    # Observed .8, chance .8*.6 + .2*.4 = .56.
    assert few.kappa == pytest.approx((0.8 - 0.56) / (1 - 0.56))
    for a in (few, many):
        assert a.kappa_interval is not None and a.alpha_interval is not None and a.kappa is not None
        assert a.kappa_interval.lo < a.kappa < a.kappa_interval.hi
    assert few.kappa_interval is not None and many.kappa_interval is not None
    assert many.kappa_interval.hi - many.kappa_interval.lo < 0.5 * (few.kappa_interval.hi - few.kappa_interval.lo)


def test_two_who_always_say_the_same_word_have_no_kappa() -> None:
    labels = [{"id": i, "label": "right", "annotator": a} for i in "ab" for a in "xy"]
    found = audit.agreement(labels)
    assert found is not None and found.observed == 1 and found.kappa is None and found.alpha is None
