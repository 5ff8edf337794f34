"""Training on data too big for memory: read in the same order, in windows, with the process kept small."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from keepfit.shared.jobs.states import Outcome
from keepfit.worker.training.program import Arrays
from keepfit.worker.training.source import Streamed, open_source, order
from tests.training import programs
from tests.training.running import attempt, jobdir_at, undisturbed

ROOT = Path(__file__).resolve().parents[2]


def mapped(path: Path, array: np.ndarray) -> np.ndarray:
    """``array`` as a memory-mapped file."""
    np.save(path, array)
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]


def test_a_mapped_file_gives_the_bits_of_an_array(tmp_path: Path) -> None:
    """In memory, and from a file in windows."""
    in_memory = programs.compose("noise")
    x = mapped(tmp_path / "x.npy", np.asarray(in_memory.train.x))
    from_file = programs.compose("noise", train=Arrays(x, in_memory.train.y), resident_bytes=0)

    assert undisturbed(from_file, tmp_path / "file") == undisturbed(in_memory, tmp_path / "memory")


def test_windows_hold_every_sample_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of three batches; the last one is shorter, and a partial batch follows."""
    monkeypatch.setattr("keepfit.worker.training.source._WINDOW_BYTES", 3 * 10 * 8)
    x = np.arange(113, dtype=np.int64)
    source = open_source(Arrays(x), 10, resident_bytes=0)
    epoch = order(1, 0, 113)
    source.begin(epoch)
    found: list[int] = []

    for batch in range(source.full):
        window = source.window(batch)
        ids = window.rows.numpy()[batch - window.start]
        found += window.data[0].numpy()[ids].tolist()
    data, ids = source.rest()
    source.close()

    assert isinstance(source, Streamed)
    assert [*found, *data[0].numpy()[ids.numpy()]] == epoch.tolist()


def test_an_attempt_that_streams_ends_its_reader(tmp_path: Path) -> None:
    """No thread outlives the attempt."""
    result = attempt(programs.build("streamed"), jobdir_at(tmp_path / "job"))

    assert result.outcome is Outcome.FINISHED
    assert not [t.name for t in threading.enumerate() if t.name.startswith("read-ahead")]


FOUR_GIB = """
import resource, sys
from pathlib import Path
import numpy as np
from keepfit.worker.training import bits
bits.configure(2)
from tests.training import programs
from tests.training.running import attempt, jobdir_at
from keepfit.worker.training.program import Arrays, CheckpointPolicy
folder = Path(sys.argv[1])
samples = (4 << 30) // 784
x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.uint8, (samples, 28, 28))
chance = np.random.default_rng(1)
for start in range(0, samples, samples // 64):
    part = x[start : start + samples // 64]
    part[:] = chance.integers(0, 256, part.shape, np.uint8)
    x.flush(); x._mmap.madvise(4)
x = np.load(folder / "x.npy", mmap_mode="r")
y = np.zeros(samples, np.uint8)
import keras
def build():
    layers = [keras.layers.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(4, activation="softmax")]
    model = keras.Sequential(layers)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model
program = programs.compose(
    "mlp", build_model=build, train=Arrays(x, y), validation=None, batch_size=4096, epochs=1, policy=CheckpointPolicy()
)
result = attempt(program, jobdir_at(folder / "job"), chunk_steps=None)
print(result.outcome, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_four_gib_train_in_less_than_two(tmp_path: Path) -> None:
    """The high-water mark of the process's memory."""
    done = subprocess.run(
        [sys.executable, "-c", FOUR_GIB, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=1700
    )

    assert done.returncode == 0, done.stderr[-2000:]
    outcome, peak_kib = done.stdout.split()
    assert outcome == "finished"
    assert int(peak_kib) < 2 << 20
