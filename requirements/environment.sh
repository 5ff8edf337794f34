#!/usr/bin/env bash
# Makes .venv from a lock file with hashes, or does nothing when it is up to date.
#
#   requirements/environment.sh run     what `make run` and `make demo` need
#   requirements/environment.sh dev     that, and what tests and linters need
#   PYTHON=/path/to/python3.12          which Python to use
#
# A stamp is written last. A mark is there while work goes on: whoever finds it begins afresh, so an
# interrupted set-up mends itself. Works with the bash 3.2 of macOS.
set -euo pipefail
cd "$(dirname "$0")/.."

want="$1"
lock="requirements/$want.lock"
venv=.venv
stamp="$venv/keepfit-$want"
unfinished="$venv/keepfit-unfinished"
key="$(pwd) $(cat "$lock" pyproject.toml | cksum)"
started=$SECONDS

say() { printf '\033[1m%s\033[0m\n' "[$1/4] $2"; }
[ -t 1 ] || say() { echo "[$1/4] $2"; }
fail() { printf '%s\n' "$@" >&2; exit 1; }

suits() { "$1" requirements/supported.py >/dev/null 2>&1; }

find_python() {
    local candidate tried=""
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        command -v "$candidate" >/dev/null 2>&1 || { tried="$tried  $candidate: not found"$'\n'; continue; }
        if suits "$candidate"; then command -v "$candidate"; return; fi
        tried="$tried  $candidate: $("$candidate" requirements/supported.py 2>&1 | head -n 1)"$'\n'
    done
    fail "No Python was found that TensorFlow has a package for. Looked at:" "$tried" \
        "Install one of 3.11, 3.12 or 3.13, for instance" \
        "  Debian, Ubuntu: sudo apt install python3 python3-venv    macOS: brew install python@3.12" \
        "and, if it is not called python3, name it:  make run PYTHON=python3.12"
}

fits_wish() { # whether .venv has the Python that PYTHON asks for
    [ -z "${PYTHON:-}" ] || [ "$("$PYTHON" -V 2>&1)" = "$("$venv/bin/python" -V 2>&1)" ]
}

link() { # keepfit/NAME leads to NAME. An unpacked archive may have made a file, or a second copy, of the link
    local path="keepfit/$1" target="../$1"
    [ "$(readlink "$path")" != "$target" ] || return 0
    if [ -d "$path" ] && [ ! -L "$path" ] && ! diff -rq -x __pycache__ "$1" "$path" >/dev/null; then
        fail "$path is a folder of its own, and differs from $1, of which it should be a link." \
            "Move it out of the way; a link is then made in its place."
    fi
    rm -rf "$path"
    ln -s "$target" "$path"
    echo "      $path is a link to $1 again"
}

mend_links() { link shared; link web; link worker; }

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$key" ] && [ ! -e "$unfinished" ] && fits_wish; then
    exit 0
fi

say 1 "Looking for a Python that TensorFlow has a package for"
if [ -e "$unfinished" ]; then
    echo "      the last set-up did not finish: starting afresh"
    rm -rf "$venv"
elif [ -d "$venv" ] && ! { suits "$venv/bin/python" && "$venv/bin/python" -m pip -V >/dev/null 2>&1 && fits_wish; }; then
    echo "      $venv does not fit: making it anew"
    rm -rf "$venv"
fi
if [ ! -d "$venv" ]; then
    python="$(find_python)"
    echo "      $python ($("$python" -V 2>&1))"
    say 2 "Making the environment $venv"
    mkdir "$venv"
    touch "$unfinished"
    "$python" -m venv "$venv"
else
    say 2 "Bringing the environment $venv up to date"
    touch "$unfinished"
fi
rm -f "$venv"/keepfit-run "$venv"/keepfit-dev

say 3 "Installing $(grep -c '^[a-z].*==' "$lock") packages (640 MB to fetch, 1.9 GB on disk, most of it TensorFlow; once only)"
quiet="--quiet"
[ -t 1 ] && quiet="--progress-bar=on"
"$venv/bin/python" -m pip install "$quiet" --disable-pip-version-check --no-input --no-compile \
    --require-hashes --only-binary :all: -r "$lock" ||
    fail "" "The packages could not be installed; what pip says is above." \
        "Without a network, or behind a proxy, see https://pip.pypa.io (PIP_INDEX_URL, PIP_PROXY). Then run it again."

say 4 "Compiling and installing Keepfit itself"
mend_links
# Some packages carry files that are meant for other Pythons; those do not compile, and need not.
# TensorFlow carries 430 MB of C++ headers for those who extend it; nothing here is compiled against them.
rm -rf "$venv"/lib/python3*/site-packages/tensorflow/include
"$venv/bin/python" -m compileall -q -q -j 0 "$venv"/lib/python3*/site-packages || true
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation \
    --editable .

[ "$want" = dev ] && { echo "$(pwd) $(cat requirements/run.lock pyproject.toml | cksum)" >"$venv/keepfit-run"; }
echo "$key" >"$stamp"
rm -f "$unfinished"
echo "      the environment is ready after $((SECONDS - started)) s"
