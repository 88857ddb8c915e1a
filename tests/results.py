"""When two runs have the same results: equal bytes of csv and checkpoints, equal HDF5 contents."""

from pathlib import Path

import numpy as np

from hessian_rmt.storage import read_hdf5


def timed(name: str) -> bool:
    """Whether an array holds a measured time, which no two runs share."""
    return name.rpartition("/")[2].endswith("seconds")


def same_results(one: Path, other: Path) -> int:
    """Assert that two folders hold the same files with the same results; how many were compared."""
    names = [
        {
            str(path.relative_to(folder))
            for suffix in ("h5", "csv", "pt")
            for path in folder.rglob(f"*.{suffix}")
            if "benchmarks" not in path.parts
        }
        for folder in (one, other)
    ]
    assert names[0] == names[1]
    for name in names[0]:
        same_file(one / name, other / name)
    return len(names[0])


def same_file(one: Path, other: Path) -> None:
    """Assert that two files hold the same results."""
    if one.suffix != ".h5":
        assert one.read_bytes() == other.read_bytes(), one
        return
    left, right = read_hdf5(one), read_hdf5(other)
    assert left.keys() == right.keys(), one
    for name in left:
        if not timed(name):
            a, b = np.asarray(left[name]), np.asarray(right[name])
            assert a.shape == b.shape, (one, name)
            assert a.dtype == b.dtype, (one, name)
            same = a.tolist() == b.tolist() if a.dtype.kind in "UO" else a.tobytes() == b.tobytes()
            assert same, f"{one}: {name}"
