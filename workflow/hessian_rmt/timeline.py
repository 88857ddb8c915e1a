"""When each job of a run worked: from the last lines of the logs to lanes and shares.

A job's import time is the processor time from the start of its interpreter until its work began;
its work is everything after. What is neither is Snakemake's, the file system's, or nobody's: cores
without a job.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from hessian_rmt.jobs import TIMES

PAUSE = 60.0  # seconds without any job after which a run was interrupted, not slow


@dataclass(frozen=True)
class Span:
    """A job's name, stage (its log's first folder), and seconds; its work starts at `began`."""

    name: str
    stage: str
    began: float
    imports: float
    work: float

    @property
    def start(self) -> float:
        return self.began - self.imports

    @property
    def end(self) -> float:
        return self.began + self.work


@dataclass(frozen=True)
class Shares:
    """What the cores did between a run's first and last job, as parts of one.

    wall: seconds; cores: the most jobs at once, by which wall is multiplied.
    """

    wall: float
    cores: int
    work: float
    imports: float

    @property
    def rest(self) -> float:
        return 1 - self.work - self.imports


def span_of(name: str, log: str) -> Span | None:
    """The times at the end of a log's text; None where it has none. name: the log's path."""
    found = TIMES.fullmatch(log.rstrip().rpartition("\n")[2])
    if found is None:
        return None
    began = datetime.fromisoformat(found[1]).timestamp()
    return Span(name, name.partition("/")[0], began, float(found[2]), float(found[3]))


def one_run(spans: Iterable[Span]) -> list[Span]:
    """In order of their starts, the first at 0; pauses without any job are cut to nothing."""
    moved, shift, busy_until = [], None, 0.0
    for span in sorted(spans, key=lambda span: span.start):
        if shift is None:
            shift = span.start
        elif span.start - shift - busy_until > PAUSE:
            shift = span.start - busy_until
        moved.append(replace(span, began=span.began - shift))
        busy_until = max(busy_until, moved[-1].end)
    return moved


def lanes(spans: Sequence[Span]) -> list[int]:
    """The lowest lane that is free for each span; in order of their starts."""
    free_at: list[float] = []
    chosen = []
    for span in spans:
        lane = next((i for i, end in enumerate(free_at) if end <= span.start), len(free_at))
        free_at[lane : lane + 1] = [span.end]
        chosen.append(lane)
    return chosen


def shares(spans: Sequence[Span]) -> Shares:
    """Of spans as `one_run` gives them."""
    wall, cores = max(span.end for span in spans), max(lanes(spans)) + 1
    total = wall * cores
    return Shares(
        wall,
        cores,
        sum(span.work for span in spans) / total,
        sum(span.imports for span in spans) / total,
    )


def by_stage(spans: Iterable[Span]) -> dict[str, tuple[int, float, float]]:
    """Jobs, seconds of work and of imports of each stage, most work first."""
    stages: dict[str, tuple[int, float, float]] = {}
    for span in spans:
        jobs, work, imports = stages.get(span.stage, (0, 0.0, 0.0))
        stages[span.stage] = (jobs + 1, work + span.work, imports + span.imports)
    return dict(sorted(stages.items(), key=lambda item: -item[1][1]))
