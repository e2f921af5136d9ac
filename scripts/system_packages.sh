#!/usr/bin/env bash
# Installs the two programs outside Python that tilth uses: bubblewrap (runs model-written code in isolation) and
# chromium (browser tests of the pages). Does nothing when both are there, and installs only as root with apt.
# Without them everything else works and their tests skip, so only CI (CI=true) takes a failure for one.
set -u

missing=()
command -v bwrap >/dev/null 2>&1 || missing+=(bubblewrap)
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 ||
  command -v google-chrome >/dev/null 2>&1 || missing+=(chromium)
[ "${#missing[@]}" -eq 0 ] && exit 0

if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >/dev/null && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null && exit 0
  echo "tilth: apt-get could not install: ${missing[*]}" >&2
else
  echo "tilth: not installed: ${missing[*]}. Their tests will be skipped; to have them:" >&2
  echo "  Debian, Ubuntu: sudo apt-get install ${missing[*]}    Fedora: sudo dnf install ${missing[*]}" >&2
fi
[ "${CI:-}" = true ] && exit 1
exit 0
