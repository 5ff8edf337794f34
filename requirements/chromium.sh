#!/usr/bin/env bash
# Makes sure that there is a Chromium for the browser tests, and prints where it is.
# Takes one that is installed; else installs Debian's (as root or with sudo); else playwright's own.
set -euo pipefail
cd "$(dirname "$0")/.."

installed() {
    local name mac="/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" && return
    done
    [ -x "$mac" ] && echo "$mac" && return
    .venv/bin/python - <<'PYTHON'
import sys
from pathlib import Path
from playwright.sync_api import sync_playwright

with sync_playwright() as playwright:
    path = playwright.chromium.executable_path
    sys.exit(0 if Path(path).exists() and print(path) is None else 1)
PYTHON
}

installed && exit 0
echo "There is no Chromium yet; installing one for the browser tests." >&2
if command -v apt-get >/dev/null; then
    root=""
    if [ "$(id -u)" != 0 ]; then root="sudo -n"; fi
    if $root true 2>/dev/null; then
        { $root apt-get update -q && DEBIAN_FRONTEND=noninteractive $root apt-get install -q -y chromium; } >&2 ||
            echo "apt-get could not install it; trying playwright's own." >&2
        installed && exit 0
    fi
fi
.venv/bin/python -m playwright install chromium >&2 || true
installed && exit 0
cat >&2 <<'TEXT'
There is no Chromium, and none could be installed here. Either
  install chromium or google-chrome by hand, and run it again, or
  leave the browser tests out:  make test PYTEST="-m 'not chaos and not browser'"
TEXT
exit 1
