"""Costs of jobs, limits asked of a cluster, and what a profile makes of them."""

import os
import re
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from hessian_rmt.costs import Size, cost_of, is_brief, runtime_minutes, size_of
from hessian_rmt.networks import build_network
from hessian_rmt.networks.batch_norm import BatchNorm
from hessian_rmt.plan import merged_config, planned_jobs, read_benchmarks, table, totals
from test_dependencies import WITH_SCRIPT
from test_workflow import SMOKE, Checkout, copy_of_checkout

ROOT = Path(__file__).parents[1]
PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
CONFIG = merged_config([str(ROOT / "config.yaml")])


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    return copy_of_checkout(tmp_path_factory.mktemp("plan"))


@pytest.fixture(scope="module")
def dry_run(checkout) -> str:
    return checkout.plan("--forceall").text


# The plan -----------------------------------------------------------------------------------------


def test_the_plan_has_every_job_of_the_dry_run(dry_run):
    jobs = planned_jobs(dry_run)
    counts = dict(re.findall(r"^(\w+) +(\d+)$", dry_run, re.MULTILINE))
    total = int(counts.pop("total"))
    assert total >= 90
    for rule, count in counts.items():
        if rule != "all":
            assert sum(job.rule == rule for job in jobs) == int(count), rule
    assert len(jobs) == total - 1


def test_the_plan_compares_with_what_was_measured(dry_run):
    jobs = planned_jobs(dry_run)
    config = merged_config([str(ROOT / "config.yaml"), str(ROOT / SMOKE)])
    outliers = [job for job in jobs if job.rule == "outliers"]
    cost = cost_of("outliers", outliers[0].wildcards, config)
    assert cost is not None
    by_rule = totals(jobs, config, {outliers[0].benchmark: (2 * cost.seconds, 700.0)})
    assert by_rule["outliers"].jobs == len(outliers)
    assert by_rule["outliers"].ratios == [0.5]
    assert by_rule["outliers"].memory_measured == 700
    assert by_rule["exact"].ratios == []
    lines = table(by_rule).splitlines()
    assert lines[0].startswith("rule")
    (total,) = re.findall(r"^total +(\d+) ", table(by_rule), re.MULTILINE)
    assert int(total) == len(jobs)


def test_measured_costs_are_read_where_a_job_was_run(dry_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no job was
    jobs = planned_jobs(dry_run)
    assert read_benchmarks(jobs) == {}
    name = next(job.benchmark for job in jobs if job.rule == "outliers")
    Path(name).parent.mkdir(parents=True)
    Path(name).write_text("s\th:m:s\tmax_rss\n12.5\t0:00:12\t640.25\n")
    assert read_benchmarks(jobs) == {name: (12.5, 640.25)}


# Those with a name each, and not one for each member of a list
NAMED = [rule for rule in WITH_SCRIPT if not rule.endswith("_")]


@pytest.mark.parametrize("rule", [rule for rule in NAMED if not rule.startswith("fetch")])
def test_every_rule_says_its_time_or_is_brief(rule):
    """A rule that asks for none gets the profile's default, which must be enough."""
    assert "runtime=minutes" in WITH_SCRIPT[rule] or is_brief(rule), (
        "add its cost to hessian_rmt/costs.py, and runtime=minutes to its resources"
    )


def test_costs_grow_with_the_work():
    run, wildcards = CONFIG["runs"]["mlp_mnist"], {"run": "mlp_mnist", "epoch": "001"}
    times = []
    for examples in (1000, 10_000, 60_000):
        dataset = run["dataset"] | {"train_examples": examples}
        config = CONFIG | {"runs": {"mlp_mnist": run | {"dataset": dataset}}}
        cost = cost_of("train", wildcards, config)
        assert cost is not None
        times.append(cost.seconds)
    assert times == sorted(times)
    assert times[-1] > times[0]


def test_more_time_is_asked_for_with_each_attempt():
    wildcards = {"run": "mlp_mnist", "unit": "epoch-001"}
    minutes = [runtime_minutes("outliers", wildcards, CONFIG, attempt) for attempt in (1, 2, 3)]
    cost = cost_of("outliers", wildcards, CONFIG)
    assert cost is not None
    assert minutes[0] * 60 > 4 * cost.seconds
    assert minutes[1] == pytest.approx(2 * minutes[0], abs=1)
    assert minutes[2] == pytest.approx(4 * minutes[0], abs=3)


NETWORKS: list[tuple[dict[str, Any], str, int]] = [
    ({"name": "mlp", "arguments": {"hidden": [10, 100]}}, "mnist", 9960),
    ({"name": "mlp", "arguments": {"hidden": [10, 100, 100]}}, "mnist", 20060),
    ({"name": "mlp", "arguments": {"hidden": []}}, "mnist", 7850),
    ({"name": "vgg", "arguments": {}}, "cifar100", 15_291_300),
    ({"name": "wide_resnet", "arguments": {}}, "cifar100", 36_546_980),
    ({"name": "vgg", "arguments": {"batch_norm": True}}, "cifar100", 15_299_748),
    ({"name": "preresnet", "arguments": {}}, "cifar100", 1_169_972),
    ({"name": "preresnet", "arguments": {}}, "cifar10", 1_146_842),
]


@pytest.mark.parametrize(("network", "dataset", "parameters"), NETWORKS)
def test_sizes_are_those_of_the_networks(network, dataset, parameters):
    size: Size = size_of({"network": network, "dataset": {"name": dataset}}, {})
    assert size.parameters == parameters


SMALL_NETWORKS: list[dict[str, Any]] = [
    {"name": "vgg", "arguments": {"convolutions": [1, 2], "width": 4}},
    {"name": "vgg", "arguments": {"convolutions": [1, 1, 1], "width": 3, "batch_norm": True}},
    {"name": "preresnet", "arguments": {"blocks": 2, "width": 3}},
    {"name": "wide_resnet", "arguments": {"depth": 16, "widening": 2, "width": 2}},
]


@pytest.mark.parametrize("network", SMALL_NETWORKS, ids=str)
@pytest.mark.parametrize("side", [8, 9])
def test_work_is_counted_as_an_example_passes(network, side):
    """Multiply-adds and outputs, of one that is passed through the network itself."""
    model = build_network(network, (1, side, side), 10, seed=0).eval()
    counted = {"multiply_adds": 0.0, "outputs": 0.0}

    def count(module: nn.Module, _: Any, output: torch.Tensor) -> None:
        if isinstance(module, nn.Conv2d | nn.Linear):
            pixels = output[0, 0].numel()
            counted["multiply_adds"] += module.weight.numel() * pixels
        if isinstance(module, nn.Conv2d | BatchNorm):
            counted["outputs"] += output.numel()

    for module in model.modules():
        module.register_forward_hook(count)
    model(torch.zeros(1, 1, side, side))
    dataset = {"name": "mnist", "image_size": side}
    size = size_of({"network": network, "dataset": dataset}, {})
    assert size.multiply_adds == counted["multiply_adds"]
    assert size.outputs == counted["outputs"]


def test_no_convolutional_network_is_for_free():
    for network in ("resnet34_imagenet", "imagenet_resnet", "my_networks:small"):
        size = size_of({"network": {"name": network}, "dataset": {"name": "cifar10"}}, {})
        assert min(size.parameters, size.multiply_adds, size.outputs) > 0


# The profile --------------------------------------------------------------------------------------


def test_the_profile_groups_rules_that_exist_and_are_brief(dry_run):
    grouped = PROFILE["groups"]
    assert set(grouped) <= {*NAMED, *(job.rule for job in planned_jobs(dry_run))}
    assert set(PROFILE["group-components"]) == set(grouped.values())
    small = {rule for rule in NAMED if is_brief(rule)} - {"provenance", "timeline"}
    assert small <= set(grouped), "add them to groups in profiles/slurm/config.yaml"
    for rule in set(grouped) & set(NAMED):
        assert "threads:" not in WITH_SCRIPT[rule]


def test_the_profile_repeats_what_the_default_one_settles():
    """A workflow profile replaces profiles/default."""
    default = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text())
    for key in set(default) - {"cores", "resources"}:
        assert PROFILE[key] == default[key]
    assert "slurm-array-jobs" not in PROFILE


# Stand-ins for SLURM's commands: sbatch writes down what it is asked and refuses
COMMANDS = {
    "sbatch": 'printf "%s\\n" "$*" >> "$SBATCH_CALLS"; echo refused >&2; exit 1',
    "sinfo": "printf 'PARTITION\\nmain*\\n'",
    "scontrol": "echo 'MinJobAge = 300 sec'",
    "sacct": "true",
    "squeue": "true",
    "sacctmgr": "true",
    "sshare": "printf 'physics\\n'",
}


def sbatch_calls(checkout: Checkout, tmp_path: Path, *arguments: str, **overlay: Any) -> list[str]:
    """What the profile asks of sbatch for some targets."""
    for name, body in COMMANDS.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    calls = tmp_path / "calls"
    calls.touch()
    before = dict(os.environ)
    os.environ.update(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}", SBATCH_CALLS=str(calls))
    options = ("--workflow-profile", "profiles/slurm", "--retries", "0", *arguments)
    overlays: tuple[Any, ...] = (SMOKE, overlay) if overlay else (SMOKE,)
    try:
        answer = checkout.snakemake(*options, overlays=overlays)
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert answer.code == 1
    assert "refused" in answer.text
    return calls.read_text().splitlines()


@pytest.mark.slow
def test_what_sbatch_is_asked(checkout, tmp_path):
    calls = sbatch_calls(checkout, tmp_path, "results/smoke/checkpoints/mlp_mnist/epoch-000.pt")
    (call,) = [call for call in calls if "--target-jobs 'initialise:" in call]
    minutes = runtime_minutes("initialise", {"run": "mlp_mnist"}, CONFIG, 1)
    for words in (" -p main ", f" -t {minutes} ", " --mem 2000 ", " --ntasks=1 "):
        assert words in call
    assert " --cpus-per-task=1 " in call
    assert "gpu" not in call.partition("--wrap")[0]


@pytest.mark.slow
def test_a_run_on_gpus_asks_for_one(checkout, tmp_path):
    device = {"mlp_mnist": {"compute": {"device": "cuda", "threads": 3}}}
    target = "results/smoke/checkpoints/mlp_mnist/epoch-000.pt"
    account = ("--default-resources", "slurm_account=physics", "slurm_partition=fast")
    (call,) = sbatch_calls(checkout, tmp_path, target, *account, runs=device)
    asked = call.partition("--wrap")[0]
    for words in ("--gpus=1", "--cpus-per-task=3", "-A physics", "-p fast"):
        assert words in asked
    assert "--ntasks" not in asked


@pytest.mark.slow
def test_a_gpu_has_its_partition(checkout, tmp_path):
    device = {"mlp_mnist": {"compute": {"device": "cuda:0"}}}
    targets = [
        f"results/smoke/checkpoints/{run}/epoch-000.pt" for run in ("mlp_mnist", "mlp_mnist14")
    ]
    partitions = "--slurm-partition-config=profiles/slurm/partitions.yaml"
    calls = sbatch_calls(checkout, tmp_path, *targets, partitions, runs=device)
    asked = {("mlp_mnist14" in call): call.partition("--wrap")[0] for call in calls}
    assert "-p gpu " in asked[False]
    assert "--gpus=1" in asked[False]
    assert "-p compute " in asked[True]
    assert "gpu" not in asked[True].partition("--comment")[2].replace("-p compute", "")


# Environments -------------------------------------------------------------------------------------


def lock() -> dict[str, str]:
    lines = (ROOT / "envs/requirements.lock").read_text().splitlines()
    return dict(line.split("==") for line in lines if line)


@pytest.mark.parametrize("name", ["analysis", "torch"])
def test_environments_have_the_versions_of_the_lock(name):
    """By its name where they install the lock itself; otherwise version by version."""
    environment = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text())
    assert environment["channels"][0] == "conda-forge"
    versions = lock()
    (pip,) = [part["pip"] for part in environment["dependencies"] if isinstance(part, dict)]
    plain = [part for part in environment["dependencies"] if isinstance(part, str)]
    for requirement in pip:
        if requirement != "-r requirements.lock":
            package, _, version = requirement.partition("==")
            assert versions[package] == version
    for requirement in plain:
        package, _, version = requirement.partition("=")
        if package in versions:
            assert versions[package] == version
    (python,) = [part for part in plain if part.startswith("python=")]
    assert python == "python=3.11"
    container = (ROOT / "envs/Containerfile").read_text()
    assert "FROM docker.io/library/python:3.11" in container
    assert "requirements.lock" in container


def test_the_lock_is_what_is_installed():
    from importlib.metadata import PackageNotFoundError, version

    missing = []
    for package, wanted in lock().items():
        try:
            found = version(package).partition("+")[0]
        except PackageNotFoundError:
            found = "nothing"
        if found != wanted:
            missing.append(f"{package}=={wanted}: {found} installed")
    assert not missing, sys.executable


@pytest.mark.parametrize("rule", WITH_SCRIPT)
def test_every_rule_names_its_environment(rule):
    assert re.search(r'conda:\s+"\.\./\.\./envs/(torch|analysis)\.yaml"', WITH_SCRIPT[rule])


def test_an_overlay_changes_only_the_run_that_it_names(tmp_path):
    """Although several share their settings by an anchor in config.yaml."""
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("runs: {softmax_mnist: {training: {learning_rate: 0.5}}}")
    runs = merged_config([str(ROOT / "config.yaml"), str(overlay)])["runs"]
    assert runs["softmax_mnist"]["training"]["learning_rate"] == 0.5
    assert runs["mlp3_mnist"]["training"] == CONFIG["runs"]["mlp3_mnist"]["training"]
