"""What a scale will cost, before it runs: jobs, core-hours, GPU-hours, memory and disk.

    snakemake --dry-run --forceall ... | python -m hessian_rmt.plan CONFIG ...

reads the jobs that Snakemake would run, gives each its cost (`hessian_rmt.costs`) and sums by rule.
Where a job's own benchmark file exists its measured time and memory stand beside: so a scale that
has been run says how far off the estimates are. `make plan SCALE=paper` does both.
"""

import csv
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config

from hessian_rmt.config import check_config
from hessian_rmt.costs import cost_of, disk_mb, is_brief
from hessian_rmt.errors import UserError

# Of a GPU over the core that the estimates are for, at work a GPU is made for. Not measured here.
GPU_SPEED = 300.0


# What the rules that take seconds are called together.
BRIEF = "figures, tables"


@dataclass(frozen=True)
class PlannedJob:
    """A job of a dry run."""

    rule: str
    wildcards: Mapping[str, str]
    gpus: int
    threads: int
    outputs: Sequence[str]
    benchmark: str


@dataclass
class Total:
    """Sums over the jobs of a rule; `measured` and `predicted` over those that were run before."""

    jobs: int = 0
    unknown: int = 0
    core_seconds: float = 0.0
    gpu_seconds: float = 0.0
    memory_mb: float = 0.0
    disk_mb: float = 0.0
    measured: float = 0.0
    predicted: float = 0.0
    memory_measured: float = 0.0
    ratios: list[float] = field(default_factory=list)


def planned_jobs(text: str) -> list[PlannedJob]:
    """The jobs that Snakemake prints in a dry run; those without a rule's output left out."""
    jobs = []
    blocks = re.split(r"^\s*(?:local)?(?:rule|checkpoint) (\w+):$", text, flags=re.MULTILINE)
    for rule, block in zip(blocks[1::2], blocks[2::2], strict=True):
        fields = dict(re.findall(r"^\s+(\w+): (.*)$", block.partition("\n\n")[0], re.MULTILINE))
        if "output" not in fields:
            continue
        resources = _assignments(fields.get("resources", ""))
        jobs.append(
            PlannedJob(
                rule,
                _assignments(fields.get("wildcards", "")),
                int(resources.get("gpu", 0)),
                int(fields.get("threads", 1)),
                fields["output"].split(", "),
                fields.get("benchmark", ""),
            )
        )
    return jobs


def _assignments(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(", ") if "=" in part)


def totals(
    jobs: Iterable[PlannedJob],
    config: Mapping[str, Any],
    measured: Mapping[str, tuple[float, float]],
) -> dict[str, Total]:
    """Totals by rule. measured: seconds and MB by benchmark file, of jobs that were run before."""
    by_rule: dict[str, Total] = {}
    for job in jobs:
        total = by_rule.setdefault(BRIEF if is_brief(job.rule) else job.rule, Total())
        total.jobs += 1
        total.disk_mb += disk_mb(job.rule, job.wildcards, config, job.outputs)
        cost = cost_of(job.rule, job.wildcards, config)
        if cost is None:
            total.unknown += 1
            continue
        if job.gpus:
            total.gpu_seconds += cost.seconds / GPU_SPEED * job.gpus
        else:
            total.core_seconds += cost.seconds
        total.memory_mb = max(total.memory_mb, cost.memory_mb)
        if job.benchmark in measured:
            seconds, memory = measured[job.benchmark]
            total.measured += seconds
            total.predicted += cost.seconds
            total.memory_measured = max(total.memory_measured, memory)
            total.ratios.append(cost.seconds / seconds)
    return by_rule


def read_benchmarks(jobs: Iterable[PlannedJob]) -> dict[str, tuple[float, float]]:
    """Wall seconds and peak MB of the jobs whose benchmark files exist."""
    found = {}
    for job in jobs:
        if job.benchmark and Path(job.benchmark).is_file():
            with open(job.benchmark, newline="") as file:
                row = next(csv.DictReader(file, delimiter="\t"), None)
            if row and row["max_rss"] not in ("NA", "-"):
                found[job.benchmark] = (float(row["s"]), float(row["max_rss"]))
    return found


def table(by_rule: Mapping[str, Total]) -> str:
    """The plan as text: a line per rule, the costly ones first, and their sum."""
    columns = (
        f"{'rule':24}{'jobs':>7}{'core-hours':>12}{'GPU-hours':>11}{'MB':>8}{'disk MB':>9}"
        f"{'predicted/measured':>21}"
    )
    lines = [columns]
    order = sorted(by_rule, key=lambda rule: -by_rule[rule].core_seconds)
    for rule in order:
        lines.append(_line(rule, by_rule[rule]))
    names = ["jobs", "unknown", "core_seconds", "gpu_seconds", "disk_mb", "measured", "predicted"]
    sums = Total(
        **{name: sum(getattr(total, name) for total in by_rule.values()) for name in names},
        memory_mb=max((total.memory_mb for total in by_rule.values()), default=0.0),
    )
    lines.append(_line("total", sums))
    if sums.unknown:
        rules = ", ".join(rule for rule in order if by_rule[rule].unknown)
        lines.append(f"not counted, as never measured: {sums.unknown} jobs of {rules}")
    if sums.gpu_seconds:
        lines.append(f"GPU-hours: a guess, a GPU taken for {GPU_SPEED:.0f} cores")
    return "\n".join(lines)


def _line(rule: str, total: Total) -> str:
    ratio = f"{total.predicted / total.measured:.2f}" if total.measured else "-"
    if total.ratios:
        ratio += f" ({min(total.ratios):.2f} … {max(total.ratios):.2f})"
    return (
        f"{rule:24}{total.jobs:>7}{total.core_seconds / 3600:>12.2f}"
        f"{total.gpu_seconds / 3600:>11.2f}{total.memory_mb:>8.0f}{total.disk_mb:>9.0f}{ratio:>21}"
    )


def merged_config(paths: Sequence[str]) -> dict[str, Any]:
    """config.yaml and overlays merged as the Snakefile does; the last one's figures replace.

    `update_config` copies mappings, so that those which share an anchor do not change together.
    """
    config: dict[str, Any] = {}
    for path in paths:
        with open(path) as file:
            layer = yaml.safe_load(file)
        figures = layer.get("figures")
        update_config(config, layer)
        if figures is not None:
            config["figures"] = figures
    return check_config(config)


def main(paths: Sequence[str], text: str) -> None:
    """Print the plan for the jobs in `text`."""
    jobs = planned_jobs(text)
    if not jobs:
        raise UserError("there is no job in what Snakemake printed:\n" + text[-2000:])
    print(table(totals(jobs, merged_config(paths), read_benchmarks(jobs))))


if __name__ == "__main__":
    try:
        main(sys.argv[1:], sys.stdin.read())
    except UserError as error:
        sys.exit(f"error: {error}")
