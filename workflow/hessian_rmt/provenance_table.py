"""One table of where all results of a scale come from: a row per HDF5 file."""

import json
from collections.abc import Mapping
from typing import Any

COLUMNS = (
    "file",
    "sha256",
    "settings_sha256",
    "seed",
    "commit",
    "device",
    "threads",
    "machine",
    "versions",
    "inputs",
    "wall_seconds",
    "cpu_seconds",
    "settings",
)


def provenance_row(file: str, digest: str, record: Mapping[str, Any]) -> list[Any]:
    """A row of `COLUMNS`; inputs and versions as ``name=value`` words, empty where not recorded."""
    row = {"file": file, "sha256": digest} | {
        key: _words(value) if key in ("inputs", "versions") else _plain(value)
        for key, value in record.items()
    }
    return [row.get(column, "") for column in COLUMNS]


def _words(text: str) -> str:
    return " ".join(f"{name}={value}" for name, value in json.loads(text).items())


def _plain(value: Any) -> Any:
    """An HDF5 attribute as the Python number or text that was written."""
    return value.item() if hasattr(value, "item") else value
