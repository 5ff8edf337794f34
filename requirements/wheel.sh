#!/usr/bin/env bash
# Builds the wheel into the folder that is named, and prints where it is. From a copy: setuptools leaves a folder behind.
set -euo pipefail
mkdir -p "$1"
into="$(cd "$1" && pwd)"
cd "$(dirname "$0")/.."
project="$PWD"
tree="$(mktemp -d)"
trap 'rm -rf "$tree"' EXIT

cp -R keepfit shared web worker pyproject.toml README.md LICENSE "$tree"
rm -f "$into"/keepfit-*.whl
(cd "$tree" && "$project/.venv/bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps \
    --no-build-isolation --wheel-dir "$into" .)
echo "$into"/keepfit-*.whl
