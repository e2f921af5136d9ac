"""ROUGE-L novelty beside rouge_score, and self-BLEU beside nltk, on one corpus, with the results compared.

    TILTH_DATA=... python benchmarks/select/novelty.py --rows 600 --stream 52000

rouge_score compares each text with every accepted one, as Self-Instruct's code does; stemmer off and on.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings

from corpus import corpus

from tilth.select import novelty_pass, self_bleu
from tilth.select.words import words


def reference(texts: list[str], threshold: float, stemmer: bool) -> list[int]:
    """Accepted texts by rouge_score."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=stemmer)
    accepted: list[int] = []
    for index, text in enumerate(texts):
        if all(scorer.score(texts[j], text)["rougeL"].fmeasure <= threshold for j in accepted):
            accepted.append(index)
    return accepted


def nltk_self_bleu(texts: list[str]) -> float:
    """Self-BLEU by nltk's sentence_bleu."""
    from nltk.translate.bleu_score import sentence_bleu

    tokens = [words(text) for text in texts]
    return sum(sentence_bleu(tokens[:i] + tokens[i + 1 :], tokens[i]) for i in range(len(tokens))) / len(tokens)


def main(arguments: list[str] | None = None) -> None:
    """Print one line for each tool and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--stream", type=int, default=52_000)
    args = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    texts = corpus(args.rows, copies=0.4)
    novelty_pass(texts, compiled=True)
    print(f"novelty   load {os.getloadavg()[0]:.1f}")
    for stemmer in (False, True):
        start = time.perf_counter()
        expected = reference(texts, 0.7, stemmer)
        slow = time.perf_counter() - start
        kind = "stemmer" if stemmer else "plain  "
        print(f"rouge_score {kind}  {args.rows:>6,} texts  {slow:9.4f} s  accepted {len(expected):,}")
        for name, compiled in (("Python", False), ("compiled", True)):
            start = time.perf_counter()
            kept = novelty_pass(texts, stemmer=stemmer, compiled=compiled).kept
            seconds = time.perf_counter() - start
            same = "same decisions" if kept == expected else "DECISIONS DIFFER"
            print(f"tilth {name:<13}  {args.rows:>6,} texts  {seconds:9.4f} s  {slow / seconds:,.0f}x  {same}")
    stream = corpus(args.stream, copies=0.4)
    for stemmer in (False, True):
        start = time.perf_counter()
        kept = novelty_pass(stream, stemmer=stemmer).kept
        seconds, name = time.perf_counter() - start, "stemmer" if stemmer else "plain"
        print(f"tilth stream, {name:<7}{args.stream:>6,} texts  {seconds:9.4f} s  accepted {len(kept):,}")
    start = time.perf_counter()
    expected_bleu = nltk_self_bleu(texts)
    slow = time.perf_counter() - start
    error = abs(self_bleu(texts) - expected_bleu)
    print(f"nltk self-BLEU      {args.rows:>6,} texts  {slow:9.4f} s  ours differs by {error:.1e}")
    start = time.perf_counter()
    value = self_bleu(stream)
    print(f"tilth self-BLEU     {args.stream:>6,} texts  {time.perf_counter() - start:9.4f} s  {value:.4f}")


if __name__ == "__main__":
    main()
