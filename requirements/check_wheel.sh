#!/usr/bin/env bash
# What somebody without a clone does: installs the wheel into an empty environment and uses it from an empty
# folder. First the base alone (client and command), then everything, with `keepfit demo` and `keepfit up`.
set -euo pipefail
cd "$(dirname "$0")/.."
project="$PWD"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

say() { echo "[wheel] $*"; }
install() { "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "$@"; }

say "building it"
mkdir "$work/empty"
wheel="$(requirements/wheel.sh "$work")"
# The versions that were tested, without hashes: pip takes none for a file that it is given by name.
grep -oE '^[a-z0-9-]+==[^ ;]+( ; [^\\]*)?' "$project/requirements/run.lock" >"$work/versions.txt"

say "installing the base"
python3 -m venv "$work/venv" 2>/dev/null || "$project/.venv/bin/python" -m venv "$work/venv"
install -c "$work/versions.txt" "$wheel"
cd "$work/empty"
keepfit="$work/venv/bin/keepfit"
"$work/venv/bin/python" -c 'import keepfit; keepfit.Client("http://127.0.0.1:9").close()'
"$keepfit" --help >/dev/null
for words in "list" "submit --name x"; do # nobody listens there: a message, and no traceback
    # shellcheck disable=SC2086  the words of the command are words
    if "$keepfit" --url http://127.0.0.1:9 $words >said.txt 2>&1; then fail=1; else fail=0; fi
    [ "$fail" = 0 ] && ! grep -q Traceback said.txt || { cat said.txt; exit 1; }
done
for words in up demo doctor; do # these need more, and say how to get it
    if "$keepfit" $words >said.txt 2>&1 || ! grep -q "keepfit\[all\]" said.txt; then cat said.txt; exit 1; fi
done
rm -f said.txt

say "installing everything"
install -c "$work/versions.txt" "$wheel[all]"
say "keepfit demo, from an empty folder"
"$keepfit" demo
say "keepfit up, from an empty folder"
"$keepfit" up --port 0 --help >/dev/null
"$work/venv/bin/python" - "$keepfit" <<'END'
"""Starts `keepfit up`, trains a job, stops it as Ctrl-C does, and looks at what is left in the folder."""
import signal, socket, subprocess, sys, time
from keepfit import Client

def free() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])

port = free()
up = subprocess.Popen([sys.argv[1], "up", "--port", port, "--redis-port", free()])
try:
    with Client(f"http://127.0.0.1:{port}", patience_s=60) as keepfit:
        job = keepfit.wait(keepfit.submit({"name": "from the wheel", "training": {"epochs": 1}}).id, 120)
        assert job.state == "succeeded", job
finally:
    up.send_signal(signal.SIGINT)
    code = up.wait(30)
print("trained, accuracy", job.result["metrics"]["accuracy"], "- ended with", code)
END
[ "$(ls -A)" = keepfit-data ] || { ls -A; echo "something else was left in the folder" >&2; exit 1; }
say "all of it works"
