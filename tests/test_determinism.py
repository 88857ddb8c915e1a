"""Equal settings give equal results, whatever the order of the jobs and the cut into them."""

from typing import Any

import pytest
import yaml

from hessian_rmt.storage import read_hdf5
from results import same_file
from test_workflow import ROOT, SMOKE, Checkout, copy_of_checkout

OF_RUN = {"checkpoints": [0, 2], "curvature": {"batch_sizes": [32, 128], "seeds": 2}}
# By name: the levels at which outliers are cut, batches of exact spectra, runs of critical points
CUTS: dict[str, tuple[str, int, int]] = {
    "whole": ("epoch", 6, 12),
    "halves": ("batch_size", 4, 7),
    "pieces": ("seed", 1, 3),
}
RESULTS = (
    "checkpoints/mlp_mnist/training.csv",
    "outliers/mlp_mnist.h5",
    "statistics/universality/outliers-mlp_mnist.h5",
    "statistics/universality/outliers-mlp_mnist.csv",
    "statistics/applicability/local/mlp_mnist/epoch-002/train.h5",
    "statistics/applicability/local/mlp_mnist/epoch-002/train.csv",
    "statistics/geometry/fig6.h5",
    "statistics/geometry/fig6.csv",
)


def overlay(scale: str) -> dict[str, Any]:
    job_per, batches, runs = CUTS[scale]
    smoke = yaml.safe_load((ROOT / SMOKE).read_text())["figures"]["geometry"]["fig6"]
    fig6 = smoke | {"examples": [10], "newton_runs": 12, "runs_per_job": runs}
    run = OF_RUN | {"exact": {"batches_per_job": batches}}
    run["curvature"] = OF_RUN["curvature"] | {"job_per": job_per}
    return {
        "scale": scale,
        "runs": {"mlp_mnist": run},
        "figures": {"geometry": {"fig6": fig6}},
    }


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    """Every cut computed, one after the other on other numbers of cores."""
    checkout = copy_of_checkout(tmp_path_factory.mktemp("determinism"))
    for cores, scale in enumerate(CUTS, start=1):
        targets = [f"results/{scale}/{result}" for result in RESULTS]
        jobs = ("--cores", str(cores), *targets)
        answer = checkout.snakemake(*jobs, overlays=(SMOKE, overlay(scale)))
        assert answer.code == 0, answer.text[-3000:]
    return checkout


@pytest.mark.slow
@pytest.mark.parametrize("scale", list(CUTS)[1:])
@pytest.mark.parametrize("result", RESULTS)
def test_the_cut_into_jobs_changes_no_result(checkout, scale, result):
    same_file(checkout / f"results/whole/{result}", checkout / f"results/{scale}/{result}")


@pytest.mark.slow
def test_the_cuts_are_different_ones(checkout):
    counts = [
        len([*(checkout / f"results/{scale}/{folder}").rglob("*.h5")])
        for folder in ("outliers/mlp_mnist", "exact", "geometry/critical/newton")
        for scale in CUTS
    ]
    # two of the exact files are the plain batch and the full split
    assert counts == [2, 4, 8, 3, 4, 8, 1, 2, 4]
    assert (
        read_hdf5(checkout / "results/whole/outliers/mlp_mnist.h5")["values"].size == 2 * 2 * 2 * 5
    )
