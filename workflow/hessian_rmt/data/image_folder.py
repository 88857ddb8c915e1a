"""ImageNet from a local folder, decoded image by image where it is used: it fits in no memory.

The folder holds `train/{class}/*` and `val/{class}/*`, classes numbered in the order of their
names. An index (a csv of split, label and path) is made of it once, in an order that is random but
fixed, so that the first n examples are a sample of all classes. Test images are resized to a
shorter side of 256 pixels and cropped to the central 224; training images are, with the
augmentation ``resized_crop``, a random part (8 % to 100 % of the area, aspect ratio 3/4 to 4/3)
resized to 224 and flipped with probability 1/2 (He et al., arXiv:1512.03385).
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from hessian_rmt.data.npz import Array
from hessian_rmt.errors import UserError
from hessian_rmt.seeds import derive_seed

INDEX = "index.csv"
SUFFIXES = (".jpeg", ".jpg", ".png")
SIDE, CROP = 256, 224
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_ATTEMPTS = 10  # to find a part of the wanted area and shape that lies inside the image


class ImageFiles:
    """Images (n, 3, size, size) that are read when they are indexed, as float32 arrays.

    paths: n files; size: of the images that are returned, cropped from 8/7 of it; standardise:
    whether channels are shifted and scaled by ImageNet's mean and deviation.
    """

    ndim = 4

    def __init__(
        self, paths: Sequence[Path], *, size: int = CROP, standardise: bool = True
    ) -> None:
        self._paths, self._size = list(paths), size
        self.shape = (len(self._paths), 3, size, size)
        self._centre, self._scale = (
            np.array(v if standardise else neutral, np.float32)[:, None, None]
            for v, neutral in ((_MEAN, (0, 0, 0)), (_DEVIATION, (1, 1, 1)))
        )

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, which: Any) -> Array:
        """The images of a slice or of an array of indices, resized and cropped at the centre."""
        numbers = np.arange(len(self))[which]
        return self._read(numbers, [self._central] * len(numbers))

    def cropped(self, numbers: Array, seeds: Sequence[int]) -> Array:
        """Images by number, each cropped and flipped at random by its own seed."""
        return self._read(numbers, [self._random(seed) for seed in seeds])

    def _read(self, numbers: Array, crops: Sequence[Callable[[Any], Any]]) -> Array:
        out = np.empty((len(numbers), *self.shape[1:]), np.float32)

        def one(position: int) -> None:
            path = self._paths[numbers[position]]
            pixels = np.asarray(crops[position](_opened(path)), np.float32) / 255
            out[position] = (pixels.transpose(2, 0, 1) - self._centre) / self._scale

        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            list(pool.map(one, range(len(numbers))))
        return out

    def _central(self, image: Any) -> Any:
        shorter = round(self._size * SIDE / CROP)
        width, height = (max(shorter, round(n * shorter / min(image.size))) for n in image.size)
        image = image.resize((width, height), resample=2)  # bilinear, which antialiases
        left, top = (width - self._size) // 2, (height - self._size) // 2
        return image.crop((left, top, left + self._size, top + self._size))

    def _random(self, seed: int) -> Callable[[Any], Any]:
        def crop(image: Any) -> Any:
            rng = np.random.default_rng(seed)
            width, height = image.size
            box = random_box(width, height, rng)
            image = image.resize((self._size, self._size), resample=2, box=box)
            return image.transpose(0) if rng.random() < 0.5 else image  # 0: left to right

        return crop


def random_box(width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A part of an image (left, top, right, bottom): 8 % to 100 % of its area, 3/4 to 4/3 wide."""
    for _ in range(_ATTEMPTS):
        area = rng.uniform(0.08, 1) * width * height
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            return left, top, left + w, top + h
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def index_rows(folder: str | Path) -> list[list[Any]]:
    """Rows (split, label, path from the folder) of all images, each split in a fixed random order.

    Raises UserError, which says what to put where, if a split is missing or has other classes.
    """
    folder = Path(folder)
    classes = {
        split: sorted(path.name for path in (folder / split).glob("*") if path.is_dir())
        for split in ("train", "val")
    }
    if not classes["train"] or classes["train"] != classes["val"]:
        raise UserError(
            f"{folder} has no ImageNet: unpack ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar "
            f"from https://image-net.org so that {folder}/train/ and {folder}/val/ hold one folder "
            "of images for each of the same classes (n01440764, ...)"
        )
    rows: list[list[Any]] = []
    for split, names in classes.items():
        found = [
            [split, label, f"{split}/{name}/{file.name}"]
            for label, name in enumerate(names)
            for file in sorted((folder / split / name).iterdir())
            if file.suffix.lower() in SUFFIXES
        ]
        order = np.random.default_rng(derive_seed(0, "image_folder", split)).permutation(len(found))
        rows += [found[i] for i in order]
    return rows


def read_split(folder: str | Path, split: str) -> tuple[list[Path], Array]:
    """Paths and labels of `train` or `val`, in the index's order; UserError without an index."""
    path = Path(folder) / INDEX
    try:
        with open(path, newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["split"] == split]
        labels = np.array([int(row["label"]) for row in rows], np.int64)
        return [Path(folder) / row["path"] for row in rows], labels
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run `snakemake {path}` to make it") from None
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"{path} is damaged ({error}); delete it and run `snakemake {path}` to make it again"
        ) from error


def _opened(path: Path) -> Any:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except OSError as error:
        raise UserError(f"{path} cannot be read as an image ({error}); replace it") from error
