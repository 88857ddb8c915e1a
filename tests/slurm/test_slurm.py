"""The workflow through profiles/slurm on a real SLURM: `make test-slurm`. Root and two cores.

One run of a part of scale `smoke` in which every kind of job occurs; during it a job is cancelled
and the controller killed. A run beside it meets its limits of memory and time.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import torch
import yaml
from cluster import Cluster, why_not

from results import same_results
from test_workflow import SMOKE, Checkout, copy_of_checkout

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

ROW = {"run": "mlp_mnist", "epoch": 1}
CRITICAL = {"examples": [10], "newton_runs": 20, "runs_per_job": 20}
PART = {
    "runs": {"mlp_mnist": {"checkpoints": [0, 1]}},
    "figures": {
        "universality": {
            "fig2": {"rows": [ROW], "outliers": [1, 3, 5]},
            "figX1": {"rows": [{"run": "mlp_mnist14", "epoch": 2}]},
        },
        "applicability": {
            "fig3": {"rows": [{"run": "embeddings_fashion", "epoch": 10, "part": "train"}]},
            "fig5": {},
            "figX2": {"rows": [ROW]},
        },
        "geometry": {},
    },
}
FIGURES = (
    *(f"universality/{figure}" for figure in ("fig2", "figX1")),
    *(f"applicability/{figure}" for figure in ("fig3", "fig5", "figX2")),
    *(f"geometry/{figure}" for figure in ("fig4", "fig6")),
)
SYNTHETIC = {"name": "synthetic", "shape": [4], "classes": 2, "train_examples": 20}
# Networks that take more than their job asked for, and one that asks for a GPU
HUNGRY = """
import time
import numpy as np
from torch import nn


def plain(input_shape, classes):
    return nn.Linear(*input_shape, classes)


def hungry(input_shape, classes):
    taken = [np.ones(25_000_000) for _ in range(10)]
    time.sleep(30)
    return plain(input_shape, classes)


def slow(input_shape, classes):
    time.sleep(300)
    return plain(input_shape, classes)
"""
QUICKLY = (
    "--slurm-init-seconds-before-status-checks=1",
    "--seconds-between-status-checks=1",
)


def start(checkout: Checkout, *arguments: str, log: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    accounting = str(checkout / "profiles/slurm/without-accounting")  # which is off
    environment["PATH"] = os.pathsep.join([accounting, environment["PATH"]])
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm"]
    with open(checkout / log, "wb") as file:
        return subprocess.Popen(
            [*command, *QUICKLY, *arguments],
            cwd=checkout.folder,
            env=environment,
            stdout=file,
            stderr=file,
        )


def smoke_part() -> dict:
    """PART, with the settings of geometry's figures taken from scale smoke."""
    own = yaml.safe_load((Path(__file__).parents[2] / SMOKE).read_text())["figures"]["geometry"]
    PART["figures"]["geometry"] = {"fig4": own["fig4"], "fig6": own["fig6"] | CRITICAL}
    return PART


@dataclass
class Run:
    """What a run on the cluster left behind."""

    checkout: Checkout
    code: int
    log: str
    jobs: dict[str, tuple[str, str]]
    cancelled: str
    frozen: str
    away: float


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("cluster") / "slurm") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def limits(cluster, tmp_path_factory):
    """Started before the main run, since a limit of time is a minute at least."""
    checkout = copy_of_checkout(tmp_path_factory.mktemp("limits"))
    (checkout / "my_networks.py").write_text(HUNGRY)
    training = {"epochs": 0, "batch_size": 10, "learning_rate": 0.1, "schedule": "constant"}
    curvature = {"outliers": 1, "tolerance": 0.1, "batch_sizes": [2], "seeds": 1}
    runs = {
        name: {
            "dataset": SYNTHETIC,
            "network": {"name": f"my_networks:{name}"},
            "training": training | {"momentum": 0.0, "weight_decay": 0.0},
            "checkpoints": [0],
            "curvature": curvature,
            "compute": {"memory_mb": 1},
        }
        for name in ("hungry", "slow", "plain")
    }
    runs["plain"]["compute"] = {"device": "cuda"}
    overlay = {"scale": "limits", "runs": runs, "figures": {"applicability": {"fig2": {}}}}
    (checkout / "limits.yaml").write_text(yaml.safe_dump(overlay))
    targets = [f"results/limits/checkpoints/{run}/epoch-000.pt" for run in runs]
    options = ("--set-resources", "initialise:runtime=1", "--retries", "0", "--verbose")
    options += ("--configfile", "limits.yaml")
    process = start(checkout, *targets, *options, log="limits.log")
    yield checkout, process
    process.kill()
    # What waits for a job that SLURM ended has left the processes that SLURM knows of
    for left in psutil.process_iter(["cmdline"]):
        if any(str(checkout) in argument for argument in left.info["cmdline"] or []):
            left.kill()


def running(cluster: Cluster, process: subprocess.Popen[bytes], *rules: str) -> tuple[str, str]:
    """The id and comment of a job of these rules, once one runs."""
    wanted = tuple(f"rule_{rule}_" for rule in rules)
    while process.poll() is None:
        for job, (state, comment) in cluster.jobs().items():
            if state == "RUNNING" and comment.startswith(wanted) and "limits" not in comment:
                return job, comment
        time.sleep(0.2)
    raise AssertionError(f"no job of {rules} was seen to run")


def cancel_a_job(cluster: Cluster, process: subprocess.Popen[bytes]) -> str:
    """Cancel a job as it runs; its comment."""
    while True:
        job, comment = running(cluster, process, "outliers", "train")
        cluster.ask("scancel", job)
        while (state := cluster.jobs()[job][0]) in ("RUNNING", "COMPLETING"):
            time.sleep(0.2)
        if state == "CANCELLED":  # and had not just ended
            return comment


def crash_the_controller(cluster: Cluster, process: subprocess.Popen[bytes]) -> tuple[str, float]:
    """Kill the controller while a job runs, for ten seconds; the job's comment, and how long.

    A controller that is killed forgets what happened in its last five seconds, so it is left alone
    before: the job is halted, and so is Snakemake, which otherwise submits others. While the
    controller is away Snakemake goes on, asks and submits in vain.
    """
    while True:
        job, comment = running(cluster, process, "outliers", "exact", "extreme", "noise")
        # the step is what is halted: before it there is the batch script alone
        while cluster.jobs()[job][0] == "RUNNING" and f"{job}.0" not in cluster.steps():
            time.sleep(0.1)
        cluster.ask("scancel", "--signal=STOP", job)
        # until the controller knows
        while (state := cluster.jobs()[job][0]) in ("RUNNING", "SIGNALING"):
            time.sleep(0.1)
        if state != "STOPPED":  # it had just ended
            continue
        process.send_signal(signal.SIGSTOP)
        before, since = cluster.jobs(), time.monotonic()
        while time.monotonic() < since + 8:
            time.sleep(0.5)
            if (now := cluster.jobs()) != before:
                before, since = now, time.monotonic()
        if before[job][0] == "STOPPED":  # it had not been about to end
            break
        process.send_signal(signal.SIGCONT)
    began = time.monotonic()
    cluster.kill_controller()
    process.send_signal(signal.SIGCONT)
    time.sleep(10)
    cluster.start_controller()
    away = time.monotonic() - began
    # a controller that has just begun may not hear it, nor know yet that the job is halted
    while cluster.jobs()[job][0] in ("STOPPED", "SIGNALING", "RUNNING"):
        cluster.ask("scancel", "--signal=CONT", job)
        time.sleep(1)
    return comment, away


@pytest.fixture(scope="module")
def run(cluster, limits, tmp_path_factory) -> Run:
    """The main run: a job cancelled as it runs, then the controller killed while others do."""
    checkout = copy_of_checkout(tmp_path_factory.mktemp("checkout"))
    (checkout / "part.yaml").write_text(yaml.safe_dump(smoke_part()))
    process = start(checkout, "--configfile", SMOKE, "part.yaml", log="run.log")
    try:
        cancelled = cancel_a_job(cluster, process)
        frozen, away = crash_the_controller(cluster, process)
        process.wait(900)
    finally:
        process.kill()
    log = (checkout / "run.log").read_text()
    return Run(checkout, process.returncode, log, cluster.jobs(), cancelled, frozen, away)


def test_it_finishes_with_every_figure(run):
    assert run.code == 0, run.log[-5000:]
    for name in FIGURES:
        for suffix in ("pdf", "png", "csv"):
            assert (run.checkout / f"results/smoke/figures/{name}.{suffix}").stat().st_size > 100
    plan = run.checkout.plan(overlays=(SMOKE, "part.yaml"))
    assert "Nothing to be done" in plan.text


def test_a_cancelled_job_is_run_again(run):
    states = sorted(state for state, name in run.jobs.values() if name == run.cancelled)
    assert states == ["CANCELLED", "COMPLETED"]
    assert "SLURM status is: 'CANCELLED'" in run.log


def test_after_the_controllers_death_nothing_is_lost_or_done_twice(run):
    assert run.away >= 10
    assert [state for state, name in run.jobs.values() if name == run.frozen] == ["COMPLETED"]
    done = Counter(
        comment
        for state, comment in run.jobs.values()
        if state == "COMPLETED" and "limits" not in comment
    )
    assert len(done) >= 25
    assert set(done.values()) == {1}
    finished = re.findall(r"^Finished jobid: (\d+)", run.log, re.MULTILINE)
    assert len(finished) == len(set(finished))


def test_small_jobs_go_together_on_few_cores(run):
    groups = [comment for _, comment in run.jobs.values() if "_universality_fig2" in comment]
    assert groups, "a group's comment names its members"
    assert "_universality_figX1" in groups[0]


def test_numbers_are_those_of_a_local_run(run, tmp_path_factory):
    local = copy_of_checkout(tmp_path_factory.mktemp("local"))
    local.run(overlays=(SMOKE, smoke_part()))
    assert same_results(run.checkout / "results/smoke", local / "results/smoke") >= 40


@pytest.mark.parametrize(
    ("run_name", "state", "words"),
    # where memory is watched by cgroups the first state is OUT_OF_MEMORY
    [("hungry", "FAILED", "exceeded memory limit"), ("slow", "TIMEOUT", "DUE TO TIME LIMIT")],
)
def test_a_job_beyond_its_limit_is_named(limits, run_name, state, words):
    checkout, process = limits
    assert process.wait(240) == 1
    log = (checkout / "limits.log").read_text()
    errors = log.split("Error in rule ")[1:]
    (error,) = (text for text in errors if f"checkpoints/{run_name}/epoch-000.pt" in text)
    assert error.startswith("initialise")
    assert f"SLURM status is: '{state}'" in error
    (slurm_log,) = re.findall(r"(/\S*slurm_logs/\S+\.log)", error)
    assert words in Path(slurm_log).read_text()


def test_a_gpu_is_asked_for_and_given(limits, cluster):
    checkout, process = limits
    process.wait(240)
    log = (checkout / "limits.log").read_text()
    (job,) = (job for job, (_, comment) in cluster.jobs().items() if "limits_plain" in comment)
    made = (checkout / "results/limits/checkpoints/plain/epoch-000.pt").exists()
    assert made == torch.cuda.is_available()  # the node's GPU may be one in name only
    own_log = checkout / "results/limits/logs/checkpoints/plain/epoch-000.log"
    assert made or "torch sees no GPU here" in own_log.read_text()
    assert "TresPerJob=gres:gpu:1" in cluster.ask("scontrol", "show", "job", job)
    calls = [line for line in log.splitlines() if "sbatch call: " in line]
    assert [" --gpus=1" in call for call in calls if "limits_plain" in call] == [True]
    assert not any("--gpus" in call for call in calls if "limits_hungry" in call)
