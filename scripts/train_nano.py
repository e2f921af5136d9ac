"""Train the two models that tilth ships: the writer `nano` and the student `nano:student`. Needs torch; one thread.

    python scripts/train_nano.py [--out DIR]

Both are toys on story arithmetic with addition and subtraction up to 40. The student has read additions only.
The writer goes on from there with subtractions and is stopped early, so that a good third of what it samples is wrong.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tilth.models.nano import Nano
from tilth.train import SFTConfig, sft
from tilth.worlds import STORY
from tilth.worlds.arithmetic import SUBTRACTION

SOURCE = Path(__file__).parents[1] / "src" / "tilth"
ADDITION = {**SUBTRACTION, "operators": "+", "skills": ()}
MODELS = {
    "student": (SOURCE / "train" / "student_weights", [(ADDITION, 5_000)], 1_200, 3e-3),
    "writer": (SOURCE / "models" / "nano_weights", [(SUBTRACTION, 4_000), (ADDITION, 1_000)], 800, 2e-3),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write below this folder instead of into the package")
    parser.add_argument("--only", choices=MODELS)
    parser.add_argument("--steps", type=int, help="instead of the writer's own number")
    args = parser.parse_args()
    folders = {n: args.out / n if args.out else shipped for n, (shipped, *_) in MODELS.items()}
    for name, (_, parts, steps, rate) in MODELS.items():
        if args.only and name != args.only:
            continue
        rows = [r for i, (knobs, n) in enumerate(parts) for r in STORY.problems(n, 1_000 + i, **knobs)]
        folder = folders[name]
        shutil.rmtree(folder, ignore_errors=True)
        config = SFTConfig(max_steps=args.steps or steps, learning_rate=rate)
        base = "nano:scratch" if name == "student" else f"nano:{folders['student']}"
        trained = sft(rows, folder, base=base, config=config, half=True)
        (folder / "training.json").unlink()
        print(f"{name}: {trained.parameters:,} parameters, {trained.rows:,} rows, {trained.seconds:.0f} CPU s")
        for task, knobs in (("addition", ADDITION), ("subtraction", SUBTRACTION)):
            held_out = STORY.problems(500, 99, **knobs)
            for temperature in (0.0, 0.8):
                answers = Nano(folder).complete([r["prompt"] for r in held_out], temperature=temperature)
                right = sum(STORY.check(r["prompt"], a[0]) is True for r, a in zip(held_out, answers, strict=True))
                print(f"  {task:12} temperature {temperature}: {right / len(held_out):.3f} right")


if __name__ == "__main__":
    main()
