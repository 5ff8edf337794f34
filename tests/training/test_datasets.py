"""Files of data sets, as people and networks leave them: taken rightly, or refused in words that say what to do."""

import fcntl
import gzip
import io
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras.src.backend import config as keras_config  # KERAS_HOME is read once, when Keras is imported

from keepfit.shared.catalog.cards import DatasetCard
from keepfit.shared.catalog.library import builtin_library
from keepfit.shared.errors import DataUnavailable
from keepfit.worker.data import datasets
from keepfit.worker.training.program import Arrays
from tests.harness.waiting import wait_until

Files = dict[str, Any]
NAMES = ("x_train", "y_train", "x_test", "y_test")
LIBRARY = builtin_library()
FEATURE, TARGET = (feature.model_dump() for feature in LIBRARY.datasets()[0].features)
BUILTIN = [card for card in LIBRARY.datasets() if not card.needs_network]


@cache
def digits() -> Files:
    """As many digits as MNIST has, made of the built-in ones."""
    few = datasets.load(LIBRARY.dataset("mnist-5k"), Path("nowhere"))
    return {
        "x_train": np.tile(few.train.x, (15, 1, 1)),
        "y_train": np.tile(few.train.y, 15),
        "x_test": np.tile(few.test.x, (10, 1, 1)),
        "y_test": np.tile(few.test.y, 10),
    }


def saved(folder: Path, **changed: Any) -> Path:
    """A folder of data sets with these digits as MNIST."""
    np.savez(folder / "mnist.npz", **{**digits(), **changed})
    return folder


def same(data: datasets.Dataset) -> bool:
    """Whether ``data`` are the digits, byte for byte."""
    found = dict(zip(NAMES, (data.train.x, data.train.y, data.test.x, data.test.y), strict=True))
    return all(np.array_equal(found[name], digits()[name]) for name in NAMES)


@pytest.mark.parametrize("card", BUILTIN, ids=lambda card: card.name)
def test_the_card_of_a_builtin_data_set_says_what_its_file_holds(card: DatasetCard) -> None:
    """Shapes, types, range, and how many of each class are in each part."""
    data, (target,) = datasets.load(card, Path("nowhere")), [f for f in card.features if f.role == "target"]

    for part, share in ((data.train, card.train), (data.test, card.test)):
        assert part.x.shape == (share.samples, *card.inputs.shape)
        assert part.y.shape == (share.samples, *target.shape)
        assert (part.x.dtype, part.y.dtype) == (card.inputs.dtype, target.dtype)
        assert (part.x.min(), part.x.max()) == card.value_range
        assert tuple(np.bincount(part.y)) == share.per_class


def test_a_card_decides_what_is_taken(tmp_path: Path) -> None:
    """Samples of its shape, in its classes, whatever its name is: no other code knows the data set."""
    made = {"features": ({**FEATURE, "shape": (6, 5, 3)}, TARGET), "classes": ("no", "yes"), "name": "own"}
    shares = {"train": {"samples": 4, "per_class": (2, 2)}, "test": {"samples": 2, "per_class": (2, 0)}}
    card = DatasetCard.model_validate(LIBRARY.dataset("mnist").model_dump() | made | shares)
    x, y = np.arange(360, dtype=np.uint8).reshape(4, 6, 5, 3), np.array([0, 1, 0, 1])

    np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x[:2].reshape(2, 90), y_test=[0, 0])
    data = datasets.load(card, tmp_path)
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y + 1, x_test=x[:2], y_test=[0, 0])

    assert np.array_equal(data.test.x, x[:2])
    with pytest.raises(DataUnavailable, match="are 1, 2, but there are 2 classes"):
        datasets.load(card, tmp_path)


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1), (1, 28, 28), (784,)], ids=str)
def test_pictures_are_taken_in_each_shape_that_means_the_same(shape: tuple[int, ...], tmp_path: Path) -> None:
    """With a channel, or flat."""
    x = {name: digits()[name].reshape(-1, *shape) for name in ("x_train", "x_test")}

    data = datasets.load(LIBRARY.dataset("mnist"), saved(tmp_path, **x))

    assert same(data)
    assert data.train.digest() == Arrays(digits()["x_train"], digits()["y_train"]).digest()


@pytest.mark.parametrize("labels", ["column", "one-hot", "floats"])
def test_labels_are_taken_in_each_form_that_means_the_same(labels: str, tmp_path: Path) -> None:
    """A column, one-hot rows, whole floats."""
    forms: dict[str, Callable[[Any], Any]] = {
        "column": lambda y: y[:, None],
        "one-hot": lambda y: np.eye(10, dtype=np.float32)[y],
        "floats": lambda y: y.astype(np.float32),
    }
    y = {name: forms[labels](digits()[name]) for name in ("y_train", "y_test")}

    assert same(datasets.load(LIBRARY.dataset("mnist"), saved(tmp_path, **y)))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_pictures_of_0_to_1_are_the_bytes_that_they_were(kind: Any, tmp_path: Path) -> None:
    """Divided by 255, as everybody does it: not a second time by the model; it is said."""
    x = {name: (digits()[name] / 255).astype(kind) for name in ("x_train", "x_test")}

    data = datasets.load(LIBRARY.dataset("mnist"), saved(tmp_path, **x))

    assert same(data)
    assert data.train.x.dtype == np.uint8
    (note,) = data.notes
    assert "hold values from 0 to 1: they are taken times 255" in note


def test_pictures_of_0_to_1_that_were_no_bytes_keep_their_values(tmp_path: Path) -> None:
    """Times 255, in floats."""
    x = {name: np.sqrt(digits()[name] / 255).astype(np.float32) for name in ("x_train", "x_test")}

    data = datasets.load(LIBRARY.dataset("mnist"), saved(tmp_path, **x))

    assert np.allclose(data.train.x, x["x_train"] * 255)
    assert data.notes


def test_a_job_of_version_0_1_keeps_its_pictures_as_they_are(tmp_path: Path) -> None:
    """It has trained on them so; its checkpoint belongs to them."""
    x = {name: (digits()[name] / 255).astype(np.float32) for name in ("x_train", "x_test")}

    data = datasets.load(LIBRARY.dataset("mnist"), saved(tmp_path, **x), as_found=True)

    assert np.array_equal(data.train.x, x["x_train"])


def test_pictures_of_another_range_are_told(tmp_path: Path) -> None:
    """Around nought, as some normalise them: they are taken, and it is said before training."""
    x = {name: digits()[name].astype(np.float32) / 127.5 - 1 for name in ("x_train", "x_test")}

    (note,) = datasets.load(LIBRARY.dataset("mnist"), saved(tmp_path, **x)).notes

    assert "hold values from -1 to 1, but the models expect 0 to 255" in note


def bad_value(name: str, place: tuple[int, ...], value: float) -> Files:
    """The array ``name`` as floats, with one other value."""
    array = digits()[name].astype(np.float32)
    array[place] = value
    return {name: array}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda: bad_value("x_test", (9999, 27, 0), np.nan), "in x_test of mnist.npz hold nan at sample 9,999"),
        (lambda: bad_value("x_train", (59_000, 1, 2), np.inf), "inf at sample 59,000 (counted from 0), position (1, 2"),
        (lambda: bad_value("y_test", (3,), 3.7), "of mnist.npz are no classes: sample 3 (counted from 0) has 3.7"),
        (lambda: bad_value("y_train", (3,), np.nan), "The labels in y_train of mnist.npz hold nan at sample 3"),
        (lambda: bad_value("y_train", (3,), -6), "sample 3 (counted from 0) has -6"),
        (lambda: {"y_train": digits()["y_train"] + 1}, "are 1 to 10, but there are 10 classes, numbered 0 to 9"),
        (lambda: {"y_test": digits()["y_test"].astype(str)}, "The labels in y_test of mnist.npz are str"),
        (lambda: {"y_train": digits()["y_train"].astype(object)}, "y_train in mnist.npz holds Python objects"),
        (lambda: {"y_train": np.eye(12)[digits()["y_train"]]}, "right is (60000,), a class from 0 to 9"),
        (lambda: {"y_train": np.ones((60000, 10))}, "(60000, 10), one-hot: 0 but for one 1 in each row; sample 0 "),
        (lambda: {"y_train": digits()["y_train"][:-1]}, "of mnist.npz has the shape (59999,); right is (60000,)"),
        (lambda: {"x_train": np.zeros((60000, 32, 32), np.uint8)}, "right is (60000, 28, 28)"),
        (lambda: {"x_test": np.zeros((0, 28, 28), np.uint8)}, "right is (10000, 28, 28)"),
        (lambda: {"x_test": digits()["x_test"] / 255}, "Both must be made in the same way"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_refused_by_name_and_place(
    changed: Callable[[], Files], said: str, tmp_path: Path
) -> None:
    """Whichever part it is in."""
    with pytest.raises(DataUnavailable) as refused:
        datasets.load(LIBRARY.dataset("mnist"), saved(tmp_path, **changed()))

    assert said in str(refused.value)
    assert "allow_pickle" not in str(refused.value)


@cache
def archive() -> bytes:
    """A small archive, compressed: what is wrong with a file is found before its shapes are."""
    file, a = io.BytesIO(), np.arange(5000)
    np.savez_compressed(file, x_train=a, y_train=a, x_test=a, y_test=a)
    return file.getvalue()


def flipped(content: bytes) -> bytes:
    """One byte of the first array is another one."""
    return content[:3000] + bytes([content[3000] ^ 1]) + content[3001:]


def one_array() -> bytes:
    """A ``.npy`` file."""
    file = io.BytesIO()
    np.save(file, np.arange(9))
    return file.getvalue()


def other_names() -> bytes:
    """An archive without the usual names."""
    file = io.BytesIO()
    np.savez(file, images=np.arange(9), x_test=np.arange(9))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda: archive()[: len(archive()) // 2], "mnist.npz is damaged: it is cut off"),
        (lambda: flipped(archive()), "mnist.npz is damaged: its co"),
        (one_array, "mnist.npz is a single array (.npy) under another name"),
        (lambda: b"\n<!DOCTYPE html><html>Please log in", "mnist.npz is a web page"),
        (lambda: b"\x80\x04]\x94.", "mnist.npz is a Python pickle, and those are never loaded"),
        (lambda: b"", "mnist.npz is empty"),
        (lambda: b"no archive", "mnist.npz is no .npz archive"),
        (other_names, "mnist.npz holds no array named x_train, y_train, y_test, only images, x_test"),
    ],
)
def test_a_file_that_is_no_archive_is_named_with_what_it_is(
    content: Callable[[], bytes], said: str, tmp_path: Path
) -> None:
    """In words, with what to do; never with a hint to unpickle it; not fetched over."""
    (tmp_path / "mnist.npz").write_bytes(content())

    with pytest.raises(DataUnavailable, match="The files of mnist under") as refused:
        datasets.load(LIBRARY.dataset("mnist"), tmp_path)

    assert said in str(refused.value)
    assert "allow_pickle" not in str(refused.value)
    assert "unsafe" not in str(refused.value)
    assert (tmp_path / "mnist.npz").read_bytes() == content()


def write_idx(path: Path, array: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """One gzipped IDX file."""
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes(), 1))


def write_folder(folder: Path) -> Path:
    """The four files, as Debian's package has them."""
    folder.mkdir(parents=True)
    for prefix, count in (("train", 60000), ("t10k", 10000)):
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", np.full((count, 28, 28), 7, np.uint8))
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", np.arange(count, dtype=np.uint8) % 10)
    return folder


def test_idx_files_in_the_data_directory_are_read(tmp_path: Path) -> None:
    """As Debian's package has them."""
    write_folder(tmp_path / "fashion-mnist")

    data = datasets.load(LIBRARY.dataset("fashion-mnist"), tmp_path)

    assert (len(data.train), len(data.test)) == (60000, 10000)
    assert data.test.x[9999, 27, 27] == 7
    assert data.train.y[255] == 5


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:99]), "labels-idx1-ubyte.gz is damaged: it is cut off"),
        (lambda path: path.write_bytes(b"<html>"), "train-labels-idx1-ubyte.gz is damaged: its compressed content"),
        (lambda path: path.unlink(), "fashion-mnist/ lacks train-labels-idx1-ubyte.gz"),
    ],
)  # fmt: skip
def test_a_damaged_or_missing_idx_file_is_named(spoil: Callable[[Path], Any], said: str, tmp_path: Path) -> None:
    """One of four, in words."""
    spoil(write_folder(tmp_path / "fashion-mnist") / "train-labels-idx1-ubyte.gz")

    with pytest.raises(DataUnavailable) as refused:
        datasets.load(LIBRARY.dataset("fashion-mnist"), tmp_path)

    assert said in str(refused.value)


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The downloader is led to an address at which nobody answers. Returns where Keras keeps what it has fetched."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(keras_config, "_KERAS_DIR", str(tmp_path / "keras"))
    (tmp_path / "keras" / "datasets").mkdir(parents=True)
    return tmp_path / "keras" / "datasets"


@pytest.mark.usefixtures("no_network")
def test_without_a_network_a_data_set_says_where_to_put_its_files(tmp_path: Path) -> None:
    """And which."""
    with pytest.raises(DataUnavailable, match="put train-images-idx3-ubyte"):
        datasets.load(LIBRARY.dataset("mnist"), tmp_path / "datasets")


def test_a_fetched_file_that_is_damaged_is_fetched_again(no_network: Path, tmp_path: Path) -> None:
    """Not so one that a person has put there: a mark tells which is which. Here that fails too, and says so."""
    (tmp_path / "mnist.npz").write_bytes(archive()[:100])
    (tmp_path / "mnist.npz.fetched").touch()

    with pytest.raises(DataUnavailable, match="could not be fetched"):
        datasets.load(LIBRARY.dataset("mnist"), tmp_path)

    assert not (tmp_path / "mnist.npz").exists()
    assert (tmp_path / "mnist.npz.damaged").exists()
    assert not no_network.joinpath("mnist.npz").exists()


@pytest.mark.usefixtures("no_network")
def test_of_two_jobs_that_want_a_set_one_fetches_it(tmp_path: Path) -> None:
    """The other one waits, and takes what is kept then: half a file is never read."""
    (tmp_path / "made").mkdir()
    whole = saved(tmp_path / "made") / "mnist.npz"
    with (tmp_path / ".mnist.lock").open("w") as lock, ThreadPoolExecutor(1) as thread:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = thread.submit(datasets.load, LIBRARY.dataset("mnist"), tmp_path)
        wait_until(lambda: waiting.running() and not waiting.done(), "the other job to wait")
        whole.replace(tmp_path / "mnist.npz")
        fcntl.flock(lock, fcntl.LOCK_UN)

        assert same(waiting.result(timeout=60))


def test_fashion_mnist_is_not_taken_from_keras_cache_unchecked(no_network: Path, tmp_path: Path) -> None:
    """Keras itself fetches it without a hash, so whatever lies in its cache would be used from then on."""
    write_folder(no_network / "fashion-mnist")

    with pytest.raises(DataUnavailable, match="Fashion-MNIST could not be fetched"):
        datasets.load(LIBRARY.dataset("fashion-mnist"), tmp_path / "datasets")

    assert not (tmp_path / "datasets" / "fashion-mnist.npz").exists()
