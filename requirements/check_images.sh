#!/usr/bin/env bash
# Checks the images where there is no container engine: for each target of the Dockerfile it takes an
# empty environment, copies what the target copies, runs the target's own pip command, and starts what
# the image is for. Then it has docker-compose, where there is one, check the compose file.
set -euo pipefail
cd "$(dirname "$0")/.."
project="$PWD"
python="$project/.venv/bin/python"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

section() { # the lines of one target of the Dockerfile
    awk -v target="$1" '/^FROM / { inside = ($NF == target) } inside' Dockerfile
}

build() { # makes $work/<target>/app and $work/<target>/venv as the Dockerfile would
    local target="$1" app="$work/$1/app" source destination
    mkdir -p "$app/requirements"
    "$python" -m venv "$work/$target/venv"
    section "$target" | awk '$1 == "COPY" { print $2, $3 }' | while read -r source destination; do
        mkdir -p "$(dirname "$app/$destination")"
        cp -R "$project/$source" "$app/$destination"
    done
    section "$target" | sed -n 's/ *&& *\\$//; s/^RUN pip //p' | while read -r command; do
        echo "[$target] pip $command"
        # shellcheck disable=SC2086  the words of the command are words
        (cd "$app" && "$work/$target/venv/bin/python" -m pip --quiet --disable-pip-version-check $command)
    done
}

inside() { # runs a command as the image of a target would
    local target="$1"; shift
    echo "[$target] $*"
    (cd "$work/$target/app" && env -i PATH="$work/$target/venv/bin:/usr/bin:/bin" HOME="$work" LANG=C.UTF-8 \
        PYTHONPATH="$work/$target/app" KEEPFIT_DATA_DIR="$work/data" "$@")
}

build web
inside web python -c 'import keepfit.web.serve; from keepfit.web.app import create_app; create_app(); print("imports")'
inside web python -c 'import importlib.util as u; found = [m for m in ("tensorflow", "keras", "numpy", "keepfit.worker") if u.find_spec(m)]; assert not found, found'

build worker
inside worker python -c 'import keepfit.worker.app, keepfit.worker.training.run; print("imports")'
printf '{"name": "image", "training": {"epochs": 1}}' >"$work/spec.json"
inside worker python -m keepfit.worker.training train "$work/spec.json" --dir "$work/data/jobs/image" | tail -n 1
inside worker python -c 'import importlib.util as u; assert not u.find_spec("keepfit.web"), "the worker has the web side"'

if command -v docker-compose >/dev/null; then
    KEEPFIT_SECRET_KEY=check docker-compose config --quiet && echo "docker-compose.yml is valid"
    if docker-compose config --quiet 2>/dev/null; then echo "the compose file starts without a secret" >&2; exit 1; fi
else
    echo "docker-compose is not installed: the compose file was not checked" >&2
fi
echo "Both images install and run."
