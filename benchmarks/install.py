"""How large an installation is: the wheel in a fresh environment, with all but torch, ray and the browser.

    python benchmarks/install.py            # the core, then the core with light extras
    python benchmarks/install.py --keep     # leave the environments for a look

Prints megabytes (10^6 bytes, apparent size of site-packages without pip itself), the number of packages and the
seconds that pip took. Target: < 700 MB and < 60 packages.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SELECTIONS = ("", "web,vision", "web,vision,worlds")
"""Extras without torch (`train`), ray and the development tools (which hold the browser driver)."""


def measure(wheel: Path, extras: str, folder: Path) -> str:
    """Install into a fresh environment and measure it.

    Args:
        wheel: what to install.
        extras: comma-separated, may be empty.
        folder: where to make the environment.

    Returns:
        One line of figures.
    """
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    start = time.perf_counter()
    subprocess.run([python, "-m", "pip", "install", "-qq", f"{wheel}{f'[{extras}]' if extras else ''}"], check=True)
    seconds = time.perf_counter() - start
    site = next((folder / "lib").glob("python*/site-packages"))
    own = {"pip", "setuptools", "_distutils_hack"}
    files = [p for p in site.rglob("*") if p.is_file() and not p.is_symlink()]
    files = [p for p in files if p.relative_to(site).parts[0].split("-")[0] not in own]
    size = sum(p.stat().st_size for p in files)
    packages = sum(1 for p in site.glob("*.dist-info") if p.name.split("-")[0] not in own)
    return f"{size / 1e6:7.0f} MB {packages:4d} packages {seconds:6.1f} s"


def main() -> None:
    """Build the wheel and print one line for each selection of extras."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave the environments on disk")
    keep = parser.parse_args().keep
    folder = Path(tempfile.mkdtemp(prefix="tilth-install-"))
    try:
        command = [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "--outdir",
            str(folder),
            str(ROOT),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wheel = next(folder.glob("*.whl"))
        print(f"{wheel.stat().st_size / 1e6:7.1f} MB wheel")
        for number, extras in enumerate(SELECTIONS):
            print(f"{measure(wheel, extras, folder / str(number))}   core{f' + {extras}' if extras else ''}")
    finally:
        if keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
