"""A user's own arrays: an npz file with train_inputs, train_targets, test_inputs, test_targets.

Inputs are numbers of any shape (n, ...), bytes being pixels. Targets are integer labels
0..classes-1, or floating-point numbers for regression.
"""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from hessian_rmt.errors import UserError

Array = np.ndarray[Any, Any]
Split = tuple[Array, Array]  # inputs, targets


def read_npz(path: str | Path | None, parts: tuple[str, ...]) -> tuple[list[Split], int | None]:
    """The splits named by `parts` ("train", or "train" and "test") and the number of classes.

    Classes are None for regression. Raises UserError for whatever does not fit.
    """
    if not path:
        raise UserError("the dataset npz needs a path; set path to a file made with numpy.savez")
    arrays = _arrays(path, [f"{part}_{what}" for part in parts for what in ("inputs", "targets")])
    splits = []
    for part in parts:
        inputs = _inputs(path, f"{part}_inputs", arrays[f"{part}_inputs"])
        targets = _targets(path, f"{part}_targets", arrays[f"{part}_targets"])
        if len(inputs) != len(targets):
            raise UserError(
                f"{path}: {part}_inputs has {len(inputs)} examples but {part}_targets has "
                f"{len(targets)}; give both the same length"
            )
        splits.append((inputs, targets))
    for what, ours, theirs in zip(("inputs", "targets"), splits[0], splits[-1], strict=True):
        if ours.shape[1:] != theirs.shape[1:] or ours.dtype != theirs.dtype:
            raise UserError(
                f"{path}: one example of train_{what} is {ours.dtype} {ours.shape[1:]} but one of "
                f"test_{what} is {theirs.dtype} {theirs.shape[1:]}; make them alike"
            )
    return splits, _classes(path, *[targets for _, targets in splits])


def _arrays(path: str | Path, keys: list[str]) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(path):  # np.load would take a lone npy file as well
            pass
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in keys if key not in file]
            if missing:
                raise UserError(
                    f"{path} lacks {', '.join(missing)}; save it with numpy.savez and the keys "
                    f"{', '.join(keys)}"
                )
            return {key: file[key] for key in keys}
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; set the dataset's path to your npz file") from None
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as an npz file of plain arrays ({error}); save it again with "
            "numpy.savez"
        ) from error


def _inputs(path: str | Path, key: str, values: Array) -> Array:
    if values.ndim < 2 or values.size == 0:
        raise UserError(
            f"{path}: {key} has the shape {values.shape}; give it one row per example, at least "
            "one example and one feature"
        )
    return _numbers(path, key, values, "biuf")


def _targets(path: str | Path, key: str, values: Array) -> Array:
    if values.ndim < 1:
        raise UserError(f"{path}: {key} is a single value; give one target per example")
    values = _numbers(path, key, values, "iuf")
    return values.astype(np.float32 if values.dtype.kind == "f" else np.int64)


def _numbers(path: str | Path, key: str, values: Array, kinds: str) -> Array:
    if values.dtype.kind not in kinds:
        raise UserError(f"{path}: {key} holds {values.dtype}; save it as numbers")
    with np.errstate(over="ignore"):
        finite = values.dtype.kind != "f" or np.isfinite(values.astype(np.float32)).all()
    if not finite:
        raise UserError(
            f"{path}: {key} holds values that are NaN or infinite in single precision; remove them"
        )
    return values


def _classes(path: str | Path, train: Array, test: Array | None = None) -> int | None:
    if train.dtype != np.int64:
        return None
    if train.ndim != 1:
        raise UserError(
            f"{path}: train_targets has the shape {train.shape}; give one integer label per "
            "example, or floating-point targets for regression"
        )
    labels = np.unique(train)
    if not np.array_equal(labels, np.arange(len(labels))):
        raise UserError(
            f"{path}: train_targets holds the labels {_some(labels)}; number the classes "
            "0, 1, 2 and so on without gaps"
        )
    if test is not None and not np.isin(test, labels).all():
        raise UserError(
            f"{path}: test_targets holds the labels {_some(np.setdiff1d(test, labels))}, which "
            "train_targets does not; remove those examples"
        )
    return len(labels)


def _some(labels: Array) -> str:
    return ", ".join(str(label) for label in labels[:5]) + (", ..." if len(labels) > 5 else "")
