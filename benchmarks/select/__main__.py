"""All selection benchmarks in one command.

    TILTH_DATA=... python benchmarks/select --sizes 10000,100000,1000000 --peers /path/to/venv/bin/python

The peers' environment: ``pip install datasketch rensa datatrove[processing]``; rouge_score and nltk are development
dependencies of tilth. Takes about a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))


def main() -> None:
    """Run them one after the other."""
    import grams
    import incremental
    import near
    import novelty
    import semantic

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--peers", help="a Python that has datasketch, rensa and datatrove")
    parser.add_argument("--peers-up-to", default="100000", help="largest size for datasketch and datatrove")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything runs")
    args = parser.parse_args()
    sizes = "2000,4000" if args.quick else args.sizes
    peers = ["--peers", args.peers, "--peers-up-to", args.peers_up_to] if args.peers else []
    near.main(["--sizes", sizes, *peers])
    novelty.main(["--rows", "100", "--stream", "5000"] if args.quick else [])
    grams.main(["--megabytes", "20" if args.quick else "1000"])
    incremental.main(["--pool", "5000" if args.quick else "1000000", "--batch", "500" if args.quick else "10000"])
    semantic.main(["--rows", "5000" if args.quick else "1000000"])
    # a process of its own: a child's peak memory is never below what its parent held when it started
    script = str(Path(__file__).with_name("command.py"))
    subprocess.run([sys.executable, script, "--rows", "5000" if args.quick else "1000000"], check=True)


if __name__ == "__main__":
    main()
