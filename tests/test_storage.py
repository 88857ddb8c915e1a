"""Files: what is written is read back, whole or not at all, and damage is a sentence."""

import csv
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hessian_rmt.errors import UserError
from hessian_rmt.storage import (
    read_hdf5,
    read_provenance,
    replacing,
    sha256_of_file,
    write_bytes,
    write_csv,
    write_hdf5,
)

PROVENANCE: dict[str, str | int | float] = {"settings": '{"seed": 1}', "threads": 2, "seconds": 0.5}


def arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "values": rng.standard_normal((3, 4, 5)),
        "single": rng.standard_normal(7).astype(np.float32),
        "counts": np.arange(6, dtype=np.int64).reshape(2, 3),
        "converged": np.array([[True, False, True]]),
        "not_numbers": np.array([math.nan, math.inf, -math.inf, -0.0]),
        "words": np.array(["smoke", "", "Größe λ"]),
        "grid": np.array([["a", "bb"], ["ccc", "λ"]]),
        "none": np.empty((0, 3)),
        "no_words": np.array([], dtype=str),
        "group/inner/value": np.arange(3.0),
        "epoch": 5,
        "loss": 0.1,
        "flag": True,
        "data": "MNIST, 2,000 images",
    }


@pytest.fixture
def table(tmp_path) -> Path:
    path = tmp_path / "table.h5"
    write_hdf5(path, arrays(), PROVENANCE)
    return path


def same(left: Any, right: Any) -> bool:
    """Equal in shape, kind of type and every bit."""
    left, right = np.asarray(left), np.asarray(right)
    if left.shape != right.shape:
        return False
    if right.dtype.kind in "UO":
        return left.tolist() == right.tolist()
    return left.dtype == right.dtype and left.tobytes() == right.tobytes()


def test_arrays_scalars_and_text_are_read_back_equal(table):
    found, written = read_hdf5(table), arrays()
    assert found.keys() == written.keys()
    for name, value in written.items():
        assert same(found[name], value), name
    assert found["data"] == "MNIST, 2,000 images"
    assert isinstance(found["data"], str)
    assert all(isinstance(word, str) for word in found["words"])
    assert read_provenance(table) == PROVENANCE


def test_no_arrays_and_no_provenance(tmp_path):
    write_hdf5(tmp_path / "a.h5", {}, {})
    assert read_hdf5(tmp_path / "a.h5") == {}
    assert read_provenance(tmp_path / "a.h5") == {}


def test_every_array_has_a_checksum(table):
    checked = []

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim and item.size:
            assert item.fletcher32, name
            checked.append(name)

    with h5py.File(table) as file:
        file.visititems(look)
    assert len(checked) == 8


def test_equal_contents_are_equal_bytes(tmp_path):
    paths = [tmp_path / "a.h5", tmp_path / "folder/with-a-longer-name.h5"]
    write_hdf5(paths[0], arrays(), PROVENANCE)
    reversed_order = dict(reversed(list(arrays().items())))
    write_hdf5(paths[1], reversed_order, dict(reversed(list(PROVENANCE.items()))))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert sha256_of_file(paths[0]) == sha256_of_file(paths[1])


def test_equal_bytes_from_another_process(tmp_path, table):
    other = tmp_path / "other.h5"
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_storage as t;"
        "t.write_hdf5(sys.argv[2], t.arrays(), t.PROVENANCE)"
    )
    subprocess.run([sys.executable, "-c", code, Path(__file__).parent, other], check=True)
    assert other.read_bytes() == table.read_bytes()


def flipped(content: bytes, position: int, mask: int) -> bytes:
    return content[:position] + bytes([content[position] ^ mask]) + content[position + 1 :]


def data_positions(path: Path) -> dict[str, list[int]]:
    """The first, a middle and the last byte of each checksummed array, checksum included."""
    positions = {}

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.chunks:
            chunk = item.id.get_chunk_info(0)
            first, size = chunk.byte_offset, chunk.size
            positions[name] = [first, first + size // 2, first + size - 5, first + size - 1]

    with h5py.File(path) as file:
        file.visititems(look)
    return positions


@pytest.mark.parametrize("mask", [1, 0x80, 0xFF])
def test_a_flipped_byte_in_an_array_is_found(table, mask):
    content = table.read_bytes()
    positions = data_positions(table)
    assert len(positions) == 8
    for name, places in positions.items():
        for place in places:
            table.write_bytes(flipped(content, place, mask))
            with pytest.raises(UserError, match=r"table\.h5 is damaged") as caught:
                read_hdf5(table)
            assert "delete it" in str(caught.value), name


# In a process of its own, since HDF5 may loop for ever on damaged metadata.
EVERY_BYTE = """
import sys
from pathlib import Path

import test_storage as t

path, mask = Path(sys.argv[1]), int(sys.argv[2])
content, good = path.read_bytes(), t.read_hdf5(path)
for position in range(0, len(content), 7):
    print("position", position, flush=True)
    path.write_bytes(t.flipped(content, position, mask))
    try:
        found = t.read_hdf5(path)
    except t.UserError as error:
        assert path.name in str(error)
    else:
        assert found.keys() == good.keys()
        assert all(t.same(found[name], good[name]) for name in good)
"""


@pytest.mark.parametrize("mask", [1, 0xFF])
def test_a_flipped_byte_anywhere_is_found_or_harmless(table, mask):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-c", EVERY_BYTE, table, str(mask)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-30:] + done.stderr[-2000:]


@pytest.mark.parametrize("part", [0.0, 0.001, 0.02, 0.3, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_found(table, part):
    content = table.read_bytes()
    table.write_bytes(content[: int(part * len(content))])
    for read in (read_hdf5, read_provenance):
        with pytest.raises(UserError, match=r"table\.h5 is damaged"):
            read(table)


def test_other_files_are_sentences(tmp_path):
    with pytest.raises(UserError, match=r"none\.h5 does not exist; run `snakemake .*none\.h5`"):
        read_hdf5(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no HDF5 at all\n" * 100)
    with pytest.raises(UserError, match=r"text\.h5 is damaged"):
        read_hdf5(tmp_path / "text.h5")


# Writing whole or not at all ----------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("ours"), KeyboardInterrupt(), SystemExit(1)])
def test_an_exception_while_writing_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "a.txt"
    write_bytes(path, b"old")

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(b"half of the n")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_array_that_hdf5_refuses_leaves_the_old_file(table):
    before = table.read_bytes()
    with pytest.raises(TypeError):
        write_hdf5(table, {"a": np.arange(3), "b": np.array([object()])}, PROVENANCE)
    assert table.read_bytes() == before
    assert os.listdir(table.parent) == ["table.h5"]


def test_rows_that_fail_leave_the_old_table(tmp_path):
    path = tmp_path / "a.csv"
    write_csv(path, ["x"], [[1]])
    with pytest.raises(ZeroDivisionError):
        write_csv(path, ["x"], ([1 // n] for n in (1, 0)))
    assert path.read_text() == "x\n1\n"
    assert os.listdir(tmp_path) == ["a.csv"]


WRITERS = [
    lambda path: write_bytes(path, b"x"),
    lambda path: write_csv(path, ["x"], [[1]]),
    lambda path: write_hdf5(path, arrays(), PROVENANCE),
]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("below", ["file/new.h5", "file/folder/new.h5", "folder"])
def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path, write, below):
    (tmp_path / "file").write_text("a regular file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="cannot write") as caught:
        write(tmp_path / below)
    assert str(tmp_path / below) in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "a regular file"


# The limit on a file's size stands for a full disk: the write itself fails, for root as well.
FULL_DISK = """
import resource, signal, sys
import numpy as np
from hessian_rmt import storage
from hessian_rmt.errors import UserError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
for write in (
    lambda path: storage.write_bytes(path, bytes(100_000)),
    lambda path: storage.write_hdf5(path, {"a": np.arange(20_000.0)}, {}),
):
    try:
        write(sys.argv[1])
    except UserError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_full_disk_is_a_sentence_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.h5"
    write_bytes(path, b"old")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"cannot write {path}") == 2
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.h5"]


def test_mode_is_that_of_an_ordinary_file(tmp_path):
    (tmp_path / "plain").write_text("")
    write_bytes(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


# Tables -------------------------------------------------------------------------------------------


def test_floats_of_a_table_read_back_equal(tmp_path):
    rng = np.random.default_rng(0)
    values = [0.1, 1 / 3, 1e-300, 5e-324, -1.7976931348623157e308, 2.0**53 + 2, 0.0]
    values += (rng.standard_normal(200) * 10.0 ** rng.integers(-300, 300, 200)).tolist()
    singles = np.float32(values[:3])
    rows = [[i, np.float64(x), "a, b"] for i, x in enumerate(values)] + [
        [-1, x, 'say "c"'] for x in singles
    ]
    write_csv(tmp_path / "a.csv", ["i", "x", "words"], rows)
    with open(tmp_path / "a.csv", newline="") as file:
        found = list(csv.DictReader(file))
    assert [float(row["x"]) for row in found] == values + singles.tolist()
    assert [int(row["i"]) for row in found] == [row[0] for row in rows]
    assert found[0]["words"] == "a, b"
    assert found[-1]["words"] == 'say "c"'
    assert b"\r" not in (tmp_path / "a.csv").read_bytes()


def test_a_table_without_rows_has_its_header(tmp_path):
    write_csv(tmp_path / "a.csv", ["x", "y"], [])
    assert (tmp_path / "a.csv").read_text() == "x,y\n"


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    """Temporary files of the path itself, and of no other."""
    left = tmp_path / ".table.a1b2c3d4.h5"
    others = [tmp_path / name for name in (".table.a1b2c3d4.csv", ".tables.a1b2c3d4.h5", ".state")]
    for path in (left, *others):
        path.write_text("half")
    write_hdf5(tmp_path / "table.h5", arrays(), PROVENANCE)
    assert not left.exists()
    assert all(path.exists() for path in others)
