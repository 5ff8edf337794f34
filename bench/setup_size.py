"""What an empty clone's first command costs: bytes fetched, bytes on disk afterwards, seconds.

    PYTHONPATH=. python bench/setup_size.py

Clones the project into an empty folder, runs `requirements/environment.sh run` there without pip's cache, and
fetches the same packages once more to weigh them. Writes bench/results/setup_size.json; the script's own line
and README state these numbers.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULT = Path(__file__).parent / "results" / "setup_size.json"


def _bytes_on_disk(folder: Path) -> int:
    """As `du` counts: blocks, each file once."""
    seen, total = set(), 0
    for path in folder.rglob("*"):
        found = path.lstat()
        if found.st_ino not in seen:
            seen.add(found.st_ino)
            total += found.st_blocks * 512
    return total


def _largest(folder: Path, count: int = 6) -> dict[str, int]:
    sizes = {path.name: _bytes_on_disk(path) // 10**6 for path in folder.iterdir() if path.is_dir()}
    return dict(sorted(sizes.items(), key=lambda row: -row[1])[:count])


def main() -> None:
    """Measure, print, write."""
    folder = Path(tempfile.mkdtemp())
    try:
        clone, wheels = folder / "clone", folder / "wheels"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        environment = os.environ | {"PIP_NO_CACHE_DIR": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        began = time.monotonic()
        subprocess.run([str(clone / "requirements" / "environment.sh"), "run"], env=environment, check=True)
        seconds = time.monotonic() - began
        pip = [str(clone / ".venv" / "bin" / "python"), "-m", "pip", "download", "-q", "--no-deps", "--require-hashes"]
        subprocess.run(
            [*pip, "--only-binary", ":all:", "-r", str(clone / "requirements" / "run.lock"), "-d", str(wheels)],
            env=environment,
            check=True,
        )
        site = next((clone / ".venv" / "lib").glob("python3*")) / "site-packages"
        compiled = sum(path.stat().st_size for path in site.rglob("*.pyc"))
        found = {
            "fetched_mb": sum(path.stat().st_size for path in wheels.iterdir()) // 10**6,
            "packages": len(list(wheels.iterdir())),
            "venv_mb": _bytes_on_disk(clone / ".venv") // 10**6,
            "compiled_mb": compiled // 10**6,
            "seconds": round(seconds),
            "largest_mb": _largest(site),
        }
        print(json.dumps(found, indent=1))
        RESULT.write_text(json.dumps(found, indent=1) + "\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
