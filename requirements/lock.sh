#!/usr/bin/env bash
# Writes the lock files anew: every version and hash that pyproject.toml's ranges give today.
# dev.lock comes first; the others take its versions, so that images, service and tests agree.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
compile() {
    local lock="requirements/$1"; shift
    uv pip compile "$@" --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --custom-compile-command "make lock" --quiet --upgrade -o "$lock"
    echo "$lock: $(grep -c '==' "$lock") packages"
}
compile dev.lock pyproject.toml --extra all --extra dev
compile run.lock pyproject.toml --extra all -c requirements/dev.lock
compile worker.lock pyproject.toml --extra worker -c requirements/dev.lock
compile web.lock pyproject.toml --extra web -c requirements/dev.lock
compile bench-plots.lock requirements/bench-plots.in
compile bench.lock requirements/bench.in -c requirements/dev.lock
