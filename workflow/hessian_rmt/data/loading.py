"""A run's data set as arrays.

Pixels are scaled to [0, 1], resized by area averaging, then standardised by channel: (x - m) / s
with the mean m and deviation s of the whole training split at its own size. Area averaging and
standardising commute, since each row of the averaging matrix sums to one.
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hessian_rmt.data.catalogue import IMAGENET, KNOWN, check_name, cut, read_genuine
from hessian_rmt.data.embeddings import read_embeddings
from hessian_rmt.data.image_folder import CROP, ImageFiles, read_split
from hessian_rmt.data.npz import Array, Split, read_npz
from hessian_rmt.errors import UserError
from hessian_rmt.seeds import derive_seed


@dataclass(frozen=True)
class Dataset:
    """Training and held-out examples: float32 inputs (n, channels, height, width), npz (n, ...).

    ImageNet's inputs are `ImageFiles`, which give such arrays where they are indexed.
    Targets are int64 labels 0..classes-1, or float32 with `classes` None for regression.
    `kind` names the data in a caption.
    """

    train_inputs: Any
    train_targets: Array
    held_out_inputs: Any
    held_out_targets: Array
    classes: int | None
    kind: str

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return self.train_inputs.shape[1:]

    @property
    def outputs(self) -> int:
        """The outputs that a network needs: a logit per class, or a number per target."""
        if self.classes is not None:
            return self.classes
        return int(np.prod(self.train_targets.shape[1:], dtype=int))


def load_dataset(settings: Mapping[str, Any], folder: str | Path) -> Dataset:
    """The data set that a run's `dataset` settings describe; `folder` holds its raw files.

    Keys: name; train_examples and test_examples (the first that many of a split); held_out (the
    last that many training examples take the test split's place); image_size; standardise (true);
    path for npz; epoch for embeddings, whose folder is that of the run they are features of;
    shape, classes and seed for synthetic data, which needs train_examples.
    Raises UserError for a missing or damaged file and for settings that do not fit the data.
    """
    name = settings["name"]
    check_name(name)
    if name == IMAGENET:
        return _image_files(settings, folder)
    parts = ("train",) if settings.get("held_out") else ("train", "test")
    classes: int | None
    if name == "npz":
        splits, classes = read_npz(settings.get("path"), parts)
        kind = Path(settings["path"]).name
    elif name == "embeddings":
        path = Path(folder, f"epoch-{settings['epoch']:03d}.h5")
        splits, classes, kind = read_embeddings(path, parts)
    elif name == "synthetic":
        splits, classes = _synthetic(settings, parts), settings["classes"]
        kind = "synthetic data"
    else:
        splits, classes = _images(name, Path(folder), parts), KNOWN[name].classes
        kind = KNOWN[name].kind

    inputs, targets = splits[0]
    centre, scale = _standard(settings, inputs)
    kept = cut(settings, len(inputs))
    train = inputs[:kept], targets[:kept]
    if len(splits) == 1:
        end = kept + settings["held_out"]
        held_out = inputs[kept:end], targets[kept:end]
    else:
        inputs, targets = splits[1]
        end = _test_examples(settings, len(inputs))
        held_out = inputs[:end], targets[:end]

    def prepared(inputs: Array) -> Array:
        values = _unit(inputs)
        if size := settings.get("image_size"):
            values = resize(values, size)
        values -= centre
        values /= scale
        return values

    return Dataset(prepared(train[0]), train[1], prepared(held_out[0]), held_out[1], classes, kind)


def _image_files(settings: Mapping[str, Any], folder: str | Path) -> Dataset:
    size, standardise = settings.get("image_size") or CROP, settings.get("standardise", True)
    paths, labels = read_split(folder, "train")
    classes, kept = int(labels.max()) + 1, cut(settings, len(paths))
    if held_out := settings.get("held_out"):
        end = kept + held_out
        others, other_labels = paths[kept:end], labels[kept:end]
    else:
        others, other_labels = read_split(folder, "val")
        end = _test_examples(settings, len(others))
        others, other_labels = others[:end], other_labels[:end]
    train, test = (
        ImageFiles(files, size=size, standardise=standardise) for files in (paths[:kept], others)
    )
    return Dataset(train, labels[:kept], test, other_labels, classes, "ImageNet")


def resize(images: Array, size: int) -> Array:
    """Square images (n, c, h, h) averaged over the areas of a `size` by `size` grid.

    Each output pixel is the mean over its share of the image, so the image's mean is kept.
    """
    if images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise UserError(
            "image_size needs square images (n, channels, height, height), but the inputs have "
            f"the shape {images.shape}; leave image_size out"
        )
    height = images.shape[3]
    if size == height:
        return images
    edges = np.arange(size + 1) * height / size
    pixels = np.arange(height)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    average = (np.maximum(overlap, 0) * size / height).astype(np.float32)  # (size, height)
    return average @ (images @ average.T)


def _unit(inputs: Array) -> Array:
    """A float32 copy; bytes are pixels and go to [0, 1]."""
    values = inputs.astype(np.float32)
    if inputs.dtype == np.uint8:
        values /= 255
    return values


def _standard(settings: Mapping[str, Any], inputs: Array) -> tuple[Array, Array]:
    """Mean and deviation by channel (axis 1), shaped to broadcast; constants of the known sets."""
    if not settings.get("standardise", True):
        return np.zeros((), np.float32), np.ones((), np.float32)
    if known := KNOWN.get(settings["name"]):
        by_channel = np.array([known.mean, known.deviation], np.float32)[:, None, :, None, None]
        return by_channel[0], by_channel[1]
    values = _unit(inputs)
    axes = tuple(axis for axis in range(values.ndim) if axis != 1)
    centre = values.mean(axes, keepdims=True, dtype=np.float64)
    deviation = values.std(axes, keepdims=True, dtype=np.float64)
    deviation[deviation == 0] = 1  # a constant channel is centred only
    return centre.astype(np.float32), deviation.astype(np.float32)


def _test_examples(settings: Mapping[str, Any], available: int) -> int:
    wanted = settings.get("test_examples") or available
    if wanted > available:
        raise UserError(
            f"test_examples is {wanted}, but the test split of {settings['name']} has {available} "
            "examples; lower it or leave it out"
        )
    return int(wanted)


def _images(name: str, folder: Path, parts: tuple[str, ...]) -> list[Split]:
    known = KNOWN[name]
    parse = _cifar if name.startswith("cifar") else _idx
    files = {"train": known.train_files, "test": known.test_files}
    return [parse([read_genuine(name, folder, file) for file in files[part]]) for part in parts]


def _idx(contents: list[bytes]) -> Split:
    images, labels = map(_parse_idx, contents)
    return images[:, None], labels.astype(np.int64)


def _parse_idx(content: bytes) -> Array:
    """IDX: two zero bytes, the type (8: unsigned byte), the rank, big-endian lengths, the data."""
    rank = content[3]
    shape = np.frombuffer(content, ">u4", count=rank, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def _cifar(contents: list[bytes]) -> Split:
    # unpickling runs what a file says, hence only contents that passed the check
    batches = [pickle.loads(content, encoding="latin1") for content in contents]
    key = "fine_labels" if "fine_labels" in batches[0] else "labels"
    images = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    return images, np.concatenate([batch[key] for batch in batches]).astype(np.int64)


def _synthetic(settings: Mapping[str, Any], parts: tuple[str, ...]) -> list[Split]:
    """Standard normal inputs around one standard normal centre per class; labels take turns."""
    shape, classes, seed = tuple(settings["shape"]), settings["classes"], settings.get("seed", 0)
    cut(settings, settings.get("train_examples"))  # says so if train_examples is missing
    sizes = {
        "train": settings["train_examples"],
        "test": settings.get("test_examples") or settings["train_examples"],
    }

    def normal(what: str, count: int) -> Array:
        generator = np.random.default_rng(derive_seed(seed, "synthetic", what))
        return generator.standard_normal((count, *shape), dtype=np.float32)

    centres = normal("centres", classes)
    splits = []
    for part in parts:
        targets = np.arange(sizes[part]) % classes
        splits.append((centres[targets] + normal(part, sizes[part]), targets))
    return splits
