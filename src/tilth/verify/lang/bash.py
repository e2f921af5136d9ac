"""Bash: scripts with standard input and output."""

from __future__ import annotations

from tilth.verify.languages import Language

BASH = Language("bash", ("bash", "sh", "shell"), "/usr/bin/bash", ("--noprofile", "--norc"), ".sh")
