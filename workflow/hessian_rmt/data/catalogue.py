"""The data sets known by name: their files, checksums and sizes.

Read by the Snakefile for every dry run, hence no torch here.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hessian_rmt.errors import UserError

MANIFEST = Path(__file__).resolve().parents[3] / "data" / "manifest.sha256"
ALGORITHMS = {64: "sha256", 32: "md5"}  # by the digest's length


@dataclass(frozen=True)
class Known:
    """Facts about a public data set: `files` holds its training, then its test, then other files.

    `mean` and `deviation` are those of the full training split's pixels in [0, 1], by channel.
    """

    kind: str
    torchvision_class: str
    train_files: tuple[str, ...]
    test_files: tuple[str, ...]
    other_files: tuple[str, ...]
    train_examples: int
    test_examples: int
    classes: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @property
    def files(self) -> list[str]:
        """Paths relative to the data set's own folder."""
        return [*self.train_files, *self.test_files, *self.other_files]


def _idx(kind: str, torchvision_class: str, mean: float, deviation: float) -> Known:
    return Known(
        kind=kind,
        torchvision_class=torchvision_class,
        train_files=("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        test_files=("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
        other_files=(),
        train_examples=60000,
        test_examples=10000,
        classes=10,
        mean=(mean,),
        deviation=(deviation,),
    )


KNOWN: dict[str, Known] = {
    "mnist": _idx("MNIST", "MNIST", 0.1307, 0.3081),
    "fashion_mnist": _idx("Fashion-MNIST", "FashionMNIST", 0.2860, 0.3530),
    "cifar10": Known(
        kind="CIFAR-10",
        torchvision_class="CIFAR10",
        train_files=tuple(f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)),
        test_files=("cifar-10-batches-py/test_batch",),
        other_files=("cifar-10-batches-py/batches.meta",),
        train_examples=50000,
        test_examples=10000,
        classes=10,
        mean=(0.4914, 0.4822, 0.4465),
        deviation=(0.2470, 0.2435, 0.2616),
    ),
    "cifar100": Known(
        kind="CIFAR-100",
        torchvision_class="CIFAR100",
        train_files=("cifar-100-python/train",),
        test_files=("cifar-100-python/test",),
        other_files=("cifar-100-python/meta",),
        train_examples=50000,
        test_examples=10000,
        classes=100,
        mean=(0.5071, 0.4865, 0.4409),
        deviation=(0.2673, 0.2564, 0.2762),
    ),
}
# Read image by image from a local folder: examples to train on, to test on, classes
IMAGENET = "imagenet"
IMAGENET_SIZES = (1281167, 50000, 1000)
NAMES = (*KNOWN, IMAGENET, "npz", "embeddings", "synthetic")


def check_name(name: str) -> None:
    """UserError unless a data set of this name can be loaded."""
    if name not in NAMES:
        raise UserError(f"there is no data set {name!r}; choose one of {', '.join(NAMES)}")


def files_of(name: str) -> list[str]:
    """The raw files of a data set, relative to its own folder; none for other than known data."""
    check_name(name)
    if name == IMAGENET:
        return ["index.csv"]
    return KNOWN[name].files if name in KNOWN else []


def cut(settings: Mapping[str, Any], available: int | None) -> int:
    """How many of the `available` training examples stay for training."""
    name = settings["name"]
    if available is None:
        raise UserError(f"dataset {name!r} has no size of its own; set train_examples")
    used = settings.get("train_examples") or available
    if used > available:
        raise UserError(
            f"train_examples is {used}, but the training split of {name} has {available} examples; "
            "lower it or leave it out"
        )
    held_out = settings.get("held_out") or 0
    if held_out and settings.get("test_examples"):
        raise UserError(
            f"dataset {name} has both held_out and test_examples; held_out examples replace the "
            "test split, so keep one of the two"
        )
    if held_out >= used:
        raise UserError(
            f"held_out is {held_out} of {used} training examples of {name}, which leaves none to "
            "train on; lower it"
        )
    return used - held_out


def expected_digest(name: str, file: str) -> str:
    """The digest that data/manifest.sha256 lists for a file of a known data set."""
    if not MANIFEST.exists():
        raise UserError(f"{MANIFEST} is missing; bring it back with `git checkout {MANIFEST}`")
    for line in MANIFEST.read_text().splitlines():
        digest, _, path = line.partition("  ")
        if path == f"{name}/{file}":
            return digest
    raise UserError(f"{MANIFEST} has no line for {name}/{file}; restore it with `git checkout`")


def is_genuine(name: str, file: str, content: bytes) -> bool:
    """Whether `content` has the digest of the manifest."""
    digest = expected_digest(name, file)
    algorithm = ALGORITHMS[len(digest)]
    return hashlib.new(algorithm, content, usedforsecurity=False).hexdigest() == digest


def read_genuine(name: str, folder: str | Path, file: str) -> bytes:
    """A raw file's bytes, checked; a UserError where it is missing or differs from the manifest."""
    path = Path(folder) / file
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run `snakemake {path}` to fetch it") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if not is_genuine(name, file, content):
        raise UserError(
            f"{path} is damaged (its checksum is not that of {MANIFEST.name}); delete it and run "
            f"`snakemake {path}` to fetch it again"
        )
    return content
