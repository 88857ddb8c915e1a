"""A data set made by the workflow: another run's features, from results/{scale}/embeddings/."""

from pathlib import Path

from hessian_rmt.data.npz import Split
from hessian_rmt.storage import read_hdf5


def read_embeddings(path: str | Path, parts: tuple[str, ...]) -> tuple[list[Split], int, str]:
    """The splits named by `parts` ("train", "test"), the number of classes, the data in words.

    Inputs are float32 features (n, d). Raises UserError for a missing or damaged file.
    """
    table = read_hdf5(path)
    splits = [(table[f"{part}_inputs"], table[f"{part}_targets"]) for part in parts]
    return splits, int(table["classes"]), str(table["data"])
