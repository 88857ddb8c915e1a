"""Files: written to a temporary name and renamed, read with a check, one sentence when damaged.

HDF5 files are a flat dictionary of arrays (a name with ``/`` makes a group), each with the
fletcher32 checksum that turns a flipped bit into an error, and a group ``/provenance`` of
attributes. The user block at the beginning of a file holds the SHA-256 of the rest. Two files hold
equal results when everything outside ``/provenance`` is equal.
"""

import csv
import glob
import hashlib
import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hessian_rmt.errors import UserError

PROVENANCE = "provenance"
_USER_BLOCK = 512


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` (same suffix), renamed to it if the block ends well.

    Temporary files that a killed process left beside it are removed: one job writes a path.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{glob.escape(path.stem)}.????????{path.suffix}"):
            left.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent
        )
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes a private file; give it the mode that open() would have given
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` so that `path` holds either all of it or what it held before."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table with a header line; floats in the shortest form that reads back equal."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([repr(float(x)) if isinstance(x, float | np.floating) else x for x in row])
    write_bytes(path, text.getvalue().encode())


def read_csv(path: str | Path) -> dict[str, Any]:
    """A table of numbers with a header line: columns by name, empty fields as nan.

    Raises UserError naming the file when it is missing or holds something else.
    """
    try:
        with open(path, newline="") as file:
            columns, *rows = csv.reader(file)
        numbers = [[float(value) if value else np.nan for value in row] for row in rows]
        values = np.array(numbers).reshape(len(rows), len(columns))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run `snakemake {path}` to make it") from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} is no table of numbers ({error}); delete it and run `snakemake {path}`"
        ) from error
    return dict(zip(columns, values.T, strict=True))


def write_hdf5(
    path: str | Path, arrays: Mapping[str, Any], provenance: Mapping[str, str | int | float]
) -> None:
    """Write `arrays` (anything numpy takes, of one dimension or more, or scalars) and `provenance`.

    The bytes depend on the contents alone: no time stamps, names in sorted order.
    """
    content = io.BytesIO()  # HDF5 can take the process down with it where a disk is full
    with h5py.File(content, "w", track_order=False, userblock_size=_USER_BLOCK) as file:
        for name in sorted(arrays):
            value = np.asarray(arrays[name])
            if value.dtype.kind == "U":
                text = np.strings.encode(value, "utf-8")  # of fixed length: others have no checksum
                value = text.astype(h5py.string_dtype(length=text.dtype.itemsize))
            if value.ndim == 0 or value.size == 0:  # HDF5 cannot checksum what it does not chunk
                file.create_dataset(name, data=value, track_times=False)
            else:
                file.create_dataset(
                    name, data=value, chunks=True, fletcher32=True, track_times=False
                )
        group = file.create_group(PROVENANCE)
        for key in sorted(provenance):
            group.attrs[key] = provenance[key]
    data = content.getvalue()[_USER_BLOCK:]
    digest = hashlib.sha256(data).hexdigest().encode()
    write_bytes(path, digest.ljust(_USER_BLOCK, b"\0") + data)


def read_hdf5(path: str | Path) -> dict[str, Any]:
    """All arrays of a file by name (groups flattened with ``/``); text as str.

    Raises UserError naming the file when it is missing, truncated or fails a checksum.
    """
    arrays: dict[str, Any] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            is_text = h5py.check_string_dtype(item.dtype) is not None
            arrays[name] = item.asstr()[()] if is_text else item[()]

    with _open_hdf5(path) as file:
        file.visititems(collect)
    return arrays


def read_provenance(path: str | Path) -> dict[str, Any]:
    """The attributes of ``/provenance``."""
    with _open_hdf5(path) as file:
        return dict(file[PROVENANCE].attrs) if PROVENANCE in file else {}


@contextmanager
def _open_hdf5(path: str | Path) -> Iterator[Any]:
    try:
        content = Path(path).read_bytes()
        digest = hashlib.sha256(content[_USER_BLOCK:]).hexdigest().encode()
        if content[:_USER_BLOCK] != digest.ljust(_USER_BLOCK, b"\0"):
            raise OSError("its SHA-256 is not the one at its beginning")
        with h5py.File(io.BytesIO(content), "r") as file:
            yield file
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run `snakemake {path}` to make it") from None
    except (OSError, RuntimeError, KeyError) as error:
        raise UserError(
            f"{path} is damaged ({error}); delete it and run `snakemake {path}` to make it again"
        ) from error


def sha256_of_file(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
