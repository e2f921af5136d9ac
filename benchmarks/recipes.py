"""Every method beside what its test measures: id, family, tests passed, seconds, and the sentences that hold.

    python benchmarks/recipes.py [ID ...] [--markdown]

The expectations are the names of the tests themselves, so the table cannot promise what no test asserts.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from tempfile import TemporaryDirectory

from tilth.recipes.registry import RECIPES, load_recipe

TESTS = Path(__file__).parent.parent / "tests" / "recipes"
SPECIAL = {"instruction-backtranslation": "backtranslation"}


def sentences(file: Path) -> tuple[int, int, float, list[str]]:
    """Tests passed, tests failed (some are skipped without TILTH_DATA), seconds, and each passed test as a sentence."""
    with TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", str(file)]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        cases = list(ElementTree.parse(report).iter("testcase"))
    passed = [c for c in cases if len(c) == 0]
    failed = sum(c.find("failure") is not None or c.find("error") is not None for c in cases)
    said = dict.fromkeys(re.sub(r"\[.*", "", c.attrib["name"]).removeprefix("test_").replace("_", " ") for c in passed)
    return len(passed), failed, sum(float(c.attrib["time"]) for c in cases), list(said)


def main() -> int:
    """Run the tests and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ids", nargs="*")
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()
    bad = 0
    for id in args.ids or sorted(RECIPES, key=lambda i: (load_recipe(i).family, i)):
        file = TESTS / f"test_{SPECIAL.get(id, id.replace('-', '_'))}.py"
        if not file.is_file():
            print(f"{id}: no test file", file=sys.stderr)
            bad += 1
            continue
        passed, failed, seconds, said = sentences(file)
        bad += failed > 0
        family = load_recipe(id).family
        if args.markdown:
            print(f"## {id}\n{family}; {passed} tests passed, {failed} failed, {seconds:.1f} s\n")
            print("".join(f"* {sentence}\n" for sentence in said))
        else:
            print(
                f"{id:<30}{family:<14}{passed:>4} passed {failed:>2} failed{seconds:>7.1f} s  {len(said)} expectations"
            )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
