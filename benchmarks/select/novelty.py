"""ROUGE-L novelty: ours beside rouge_score on one corpus, with the decisions compared.

    TILTH_DATA=... python benchmarks/select/novelty.py --rows 600 --stream 52000

rouge_score compares each text with every accepted one, as Self-Instruct's code does.
"""

from __future__ import annotations

import argparse
import time

from corpus import corpus

from tilth.select import novelty_pass, self_bleu


def reference(texts: list[str], threshold: float) -> list[int]:
    """Accepted texts by rouge_score."""
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    scorer = RougeScorer(["rougeL"], use_stemmer=False, tokenizer=DefaultTokenizer(use_stemmer=False))
    accepted: list[int] = []
    for index, text in enumerate(texts):
        if all(scorer.score(texts[j], text)["rougeL"].fmeasure <= threshold for j in accepted):
            accepted.append(index)
    return accepted


def main() -> None:
    """Print one line for each tool and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--stream", type=int, default=52_000)
    args = parser.parse_args()
    texts = corpus(args.rows, copies=0.4)
    novelty_pass(texts, compiled=True)
    start = time.perf_counter()
    expected = reference(texts, 0.7)
    slow = time.perf_counter() - start
    print(f"rouge_score  {args.rows:>7,} texts  {slow:9.4f} s  accepted {len(expected):,}")
    for name, compiled in (("plain", False), ("compiled", True)):
        start = time.perf_counter()
        kept = novelty_pass(texts, compiled=compiled).kept
        seconds = time.perf_counter() - start
        same = "same decisions" if kept == expected else "DECISIONS DIFFER"
        print(f"tilth {name:<9}{args.rows:>5,} texts  {seconds:9.4f} s  {slow / seconds:,.0f}x  {same}")
    texts = corpus(args.stream, copies=0.4)
    start = time.perf_counter()
    kept = novelty_pass(texts).kept
    print(f"tilth stream {args.stream:>7,} texts  {time.perf_counter() - start:9.4f} s  accepted {len(kept):,}")
    start = time.perf_counter()
    value = self_bleu(texts)
    print(f"self-BLEU    {args.stream:>7,} texts  {time.perf_counter() - start:9.4f} s  {value:.4f}")


if __name__ == "__main__":
    main()
