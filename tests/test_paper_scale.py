"""Scale `paper` for `universality`: its grid, and its jobs with the papers' own architectures."""

import json

import numpy as np
import pytest
import yaml

from hessian_rmt.curvature.lanczos import basis_megabytes
from hessian_rmt.storage import read_hdf5, read_provenance
from test_workflow import ROOT, Checkout, copy_of_checkout

PAPER = "workflow/scales/paper.yaml"
SETTINGS = yaml.safe_load((ROOT / PAPER).read_text())
# Parameters; bytes of an example's graph in float32 (measured, images of 3x32x32, 100 classes);
# bytes of a GPU; the largest batch whose graph is kept there
NETWORKS = {
    "wrn_cifar100": (36_546_980, 42.9e6, 80e9, 512),
    "vgg16_cifar100": (15_291_300, 2.61e6, 24e9, 2048),
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    return copy_of_checkout(tmp_path_factory.mktemp("paper"))


@pytest.mark.slow
@pytest.mark.parametrize("run", NETWORKS)
def test_the_plan_is_the_papers_grid(checkout, run):
    target = f"results/paper/statistics/universality/outliers-{run}.h5"
    jobs = checkout.plan(target, overlays=(PAPER,)).jobs
    expected = {
        "fetch_cifar100": 1,
        "initialise": 1,
        "train": 12,
        "outliers": 13 * 9,
        "merge_outliers": 1,
        "outlier_fits": 1,
    }
    assert jobs == expected
    curvature = SETTINGS["runs"][run]["curvature"]
    by_seed = {"runs": {run: {"curvature": {"job_per": "seed"}}}}
    assert checkout.plan(target, overlays=(PAPER, by_seed)).jobs["outliers"] == 13 * 9 * 10
    assert (curvature["outliers"], curvature["seeds"]) == (5, 10)
    assert curvature["batch_sizes"] == [2**i for i in range(5, 14)]


@pytest.mark.parametrize("run", NETWORKS)
def test_memory_fits_the_gpu_and_the_basis_fits_its_part(run):
    parameters, graph, gpu, kept = NETWORKS[run]
    settings = SETTINGS["runs"][run]
    basis = settings["curvature"]["memory_mb"]
    assert basis_megabytes(parameters, 5) <= basis
    vectors = 15 * parameters * 8  # weights, gradients, and what a product makes of their size
    assert (settings["compute"]["memory_mb"] + basis) * 2**20 + vectors < gpu
    largest = settings["compute"]["memory_mb"] * 2**20 / (2 * graph)
    assert kept <= largest < 2 * kept


def tiny(run: str) -> dict:
    """The run's own network on a few random images: one step, one eigenvalue."""
    dataset = {"name": "synthetic", "shape": [3, 32, 32], "classes": 100, "train_examples": 2}
    return {
        "scale": "tiny_paper",
        "runs": {
            run: {
                "dataset": dataset | {"held_out": 0, "test_examples": 1},
                "training": {"epochs": 1, "batch_size": 2},
                "checkpoints": [0, 1],
                "curvature": {
                    "outliers": 1,
                    "tolerance": 0.3,
                    "batch_sizes": [1, 2],
                    "seeds": 1,
                },
                "compute": {"device": "cpu"},
            }
        },
        "figures": {"universality": {"fig4": {"size": 60, "samples": 4}}},
    }


@pytest.mark.slow
@pytest.mark.parametrize("run", NETWORKS)
def test_the_papers_networks_go_through_every_kind_of_job(checkout, run):
    """A training step with augmentation, and an outlier of one batch, in separate jobs."""
    folder = "results/tiny_paper"
    unit = f"{folder}/outliers/{run}/epoch-001/batch-000001.h5"
    targets = [f"{folder}/checkpoints/{run}/training.csv", unit]
    answer = checkout.run(*targets, "--resources", "mem_mb=1000000", overlays=(PAPER, tiny(run)))
    assert answer.jobs == {"train": 1, "training_table": 1, "outliers": 1}
    table, record = read_hdf5(checkout / unit), read_provenance(checkout / unit)
    assert table["values"].shape == (1, 1, 1)
    assert np.isfinite(table["values"]).all()
    assert table["converged"].all()
    assert (table["residuals"] <= 0.3 * np.abs(table["values"])).all()
    settings = json.loads(record["settings"])
    assert settings["hessian"] == {"batch_norm": "evaluation"}
    network = SETTINGS["runs"][run]["network"]
    assert settings["network"]["name"] == network["name"]
    assert network["arguments"].items() <= settings["network"]["arguments"].items()
