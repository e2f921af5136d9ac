"""`python -m tilth` is the command `tilth`."""

from __future__ import annotations

import sys

from tilth.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
