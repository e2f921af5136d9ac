"""The command `tilth`: finds the verb, imports it alone, prints its error in one line and leaves with its exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from tilth import __version__
from tilth.errors import TilthError, did_you_mean

VERBS = {
    "demo": "the whole loop offline: grow, verify, audit, advise, train, compare",
    "doctor": "what works on this machine, and what to do about the rest",
    "init": "print a commented plan to start from",
    "validate": "check a plan without running it",
    "recipes": "every method: id, family, columns, roles; or one method in full",
    "run": "run a plan, or a recipe over seeds",
    "status": "how a run stands",
    "why": "where a row came from: prompt, replies, verdicts, parents, reason",
    "diff": "which rows two runs do not share, and why",
    "verify": "check the rows of a file",
    "select": "prune a file: duplicates, novelty, contamination",
    "measure": "diversity and quality figures of a file",
    "audit": "sample rows for people to label, and turn labels into rates",
    "advise": "will adding the data help? a verdict with intervals",
    "theory": "random-matrix theory of mixing real and synthetic data",
    "train": "train a model on rows",
    "evaluate": "score a model, or compare two with paired tests",
    "mix": "mix real and synthetic rows",
    "export": "write rows for TRL, HF, OpenAI, Argilla or Label Studio",
    "report": "write the dataset card and the one-file HTML report",
    "view": "browse a run",
    "requests": "export unanswered requests, import answers",
    "journal": "compact, merge, or erase one person from what runs recorded",
    "replay": "rebuild a dataset from its journal alone",
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
    try:
        return _main(words)
    except TilthError as error:
        print(f"tilth: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        print("tilth: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        if os.environ.get("TILTH_DEBUG"):
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"tilth: {where}{error.strerror or error}\n  TILTH_DEBUG=1 shows where", file=sys.stderr)
        return 1
    except Exception as error:
        if os.environ.get("TILTH_DEBUG"):
            raise
        print(
            f"tilth: internal error: {type(error).__name__}: {error}\n  please report it; TILTH_DEBUG=1 shows where",
            file=sys.stderr,
        )
        return 1


def _main(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0
    if words[0] == "--version":
        print(f"tilth {__version__}")
        return 0
    verb = words[0]
    if verb not in VERBS:
        print(f"tilth: no verb is called '{verb}'\n  {did_you_mean(verb, VERBS)}", file=sys.stderr)
        return 2
    parser = verb_parser(verb)
    try:
        args = parser.parse_args(words[1:])
    except SystemExit as stop:
        return int(stop.code or 0)
    return int(importlib.import_module(_module(verb)).run(args))


def verb_parser(verb: str) -> argparse.ArgumentParser:
    """The argument parser of one verb."""
    module = importlib.import_module(_module(verb))
    parser = argparse.ArgumentParser(
        prog=f"tilth {verb}", description=module.HELP, epilog=f"example:\n  {module.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    module.add_arguments(parser)
    return parser


def _module(verb: str) -> str:
    return f"tilth.cli.{verb}"


def _help() -> str:
    lines = "\n".join(f"  {verb:<10}{text}" for verb, text in VERBS.items())
    return (
        f"tilth {__version__}: from a handful of seeds to training data that is proven to help a language model\n\n"
        f"usage: tilth VERB ...      tilth VERB --help for each\n\n{lines}\n\nstart with: tilth demo --no-train"
    )


if __name__ == "__main__":
    sys.exit(main())
