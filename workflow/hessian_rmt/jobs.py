"""What every script does around its work: a log, a progress bar, one sentence on failure."""

import gc
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO, TypeVar

from tqdm import tqdm

from hessian_rmt.errors import UserError

T = TypeVar("T")
TIMES = re.compile(r"began (\S+), ([\d.]+) s of imports, ([\d.]+) s of work")


class Log:
    """Plain lines in a log file, and on a terminal a progress bar beside them."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def line(self, text: str) -> None:
        """Write one line to the log file."""
        print(text, file=self._file, flush=True)

    def progress(self, items: Iterable[T], *, label: str, total: int | None = None) -> Iterator[T]:
        """Iterate over `items` with a bar on a terminal; nothing is drawn where there is none."""
        return iter(
            tqdm(items, desc=label, total=total, disable=not sys.stderr.isatty(), leave=False)
        )


@contextmanager
def job(log: str | Path) -> Iterator[Log]:
    """Run a script's body with a log; a UserError becomes its sentence and exit code 1.

    Any other exception goes to the log with its traceback, and on. The log's last line has the
    job's times, for `timeline`.
    """
    began, imports = time.time(), time.process_time()  # what ran before are imports
    try:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        file = open(log, "w")  # noqa: SIM115
    except OSError as error:
        sys.exit(f"error: cannot write {log}: {error.strerror}")
    with file:
        try:
            yield Log(file)
        except UserError as error:
            print(f"error: {error}", file=file)
            sys.exit(f"error: {error}")
        except BaseException:
            import traceback

            traceback.print_exc(file=file)
            raise
        print(times_line(began, imports, time.time() - began), file=file)
        gc.freeze()  # or the interpreter's end looks through torch's modules, for most of a second


def times_line(began: float, imports: float, work: float) -> str:
    """A log's last line, which `TIMES` matches; `began` in seconds since 1970."""
    moment = datetime.fromtimestamp(began, UTC).isoformat(timespec="milliseconds")
    return f"began {moment}, {imports:.2f} s of imports, {work:.2f} s of work"


def threads_granted(granted: int, settings: Mapping[str, Any]) -> int:
    """The threads to compute with: those of the run's settings, no fewer.

    Snakemake lowers a rule's threads to ``--cores``; numbers differ in the last bits between thread
    counts, so fewer are refused. Raises UserError.
    """
    wanted = settings["compute"]["threads"]
    if granted < wanted:
        raise UserError(
            f"compute.threads asks for {wanted} threads and Snakemake grants {granted}; give it "
            f"--cores {wanted} or more, or lower compute.threads in config"
        )
    return wanted
