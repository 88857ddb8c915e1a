"""Where a result comes from: attributes of `/provenance`, outside what counts as the result."""

import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hessian_rmt.storage import sha256_of_file


class Stopwatch:
    """Wall and processor seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def seconds(self) -> dict[str, float]:
        return {
            "wall_seconds": time.perf_counter() - self._wall,
            "cpu_seconds": time.process_time() - self._cpu,
        }


def provenance(
    settings: Mapping[str, Any],
    *,
    inputs: Sequence[str | Path] = (),
    threads: int = 1,
    device: str = "cpu",
    stopwatch: Stopwatch | None = None,
    packages: Sequence[str] = ("numpy",),
) -> dict[str, str | int | float]:
    """Settings and their SHA-256, seed, those of inputs, versions, device, commit, times."""
    text = json.dumps(settings, sort_keys=True)
    record: dict[str, str | int | float] = {
        "settings": text,
        "settings_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "seed": settings["seed"],
        "inputs": json.dumps({str(path): sha256_of_file(path) for path in inputs}, sort_keys=True),
        "versions": json.dumps(
            {"python": platform.python_version()} | {name: version(name) for name in packages}
        ),
        "machine": f"{platform.system()} {platform.machine()}",
        "device": device,
        "threads": threads,
        "commit": _commit(),
    }
    return record | (stopwatch.seconds() if stopwatch else {})


@cache
def _commit() -> str:
    """The commit of the checkout that holds this library, or an empty string."""
    try:
        answer = subprocess.run(
            ["git", "-C", os.path.dirname(__file__), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()
