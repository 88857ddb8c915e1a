"""The workflow as a whole, run by Snakemake in a copy of the checkout."""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from browser import CHROMIUM, browser
from hessian_rmt.plan import merged_config
from hessian_rmt.storage import read_hdf5, read_provenance, sha256_of_file

ROOT = Path(__file__).parents[1]
SMOKE = "workflow/scales/smoke.yaml"
COLLECTORS = ("all", "universality", "applicability", "deep_learning_limit", "geometry")
FIGURES = ("fig2", "fig3", "atlas-mlp_mnist")
# What the plans below are about: named one by one, so that figures to come do not change them.
TARGETS = (
    *(f"results/smoke/figures/universality/{name}.pdf" for name in FIGURES),
    "results/smoke/checkpoints/mlp_mnist/training.csv",
)


@dataclass
class Answer:
    """Exit code and all that was printed."""

    code: int
    text: str

    @property
    def jobs(self) -> dict[str, int]:
        """Jobs by rule, from the table before a run; collectors and the total left out."""
        _, _, table = self.text.partition("Job stats:")
        counts = dict(re.findall(r"^(\w+)\s+(\d+)$", table.partition("\n\n")[0], re.MULTILINE))
        return {rule: int(n) for rule, n in counts.items() if rule not in (*COLLECTORS, "total")}


@dataclass
class Checkout:
    """A working directory of the workflow's own."""

    folder: Path

    def snakemake(self, *arguments: str, overlays: tuple[Any, ...] = (SMOKE,)) -> Answer:
        """Run Snakemake here; an overlay is a file's name or its contents."""
        files = []
        for i, overlay in enumerate(overlays):
            if not isinstance(overlay, str):
                name = f"overlay-{i}.yaml"
                (self.folder / name).write_text(yaml.safe_dump(overlay))
                overlay = name
            files.append(overlay)
        configfiles = ["--configfile", *files] if files else []
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        environment.pop("PYTHONPATH", None)
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments, *configfiles],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return Answer(done.returncode, done.stdout)

    def run(self, *arguments: str, overlays: tuple[Any, ...] = (SMOKE,)) -> Answer:
        answer = self.snakemake("--cores", "2", *arguments, overlays=overlays)
        assert answer.code == 0, answer.text[-3000:]
        return answer

    def plan(self, *arguments: str, overlays: tuple[Any, ...] = (SMOKE,)) -> Answer:
        answer = self.snakemake("-n", *arguments, overlays=overlays)
        assert answer.code == 0, answer.text[-3000:]
        return answer

    def __truediv__(self, path: str) -> Path:
        return self.folder / path


def copy_of_checkout(folder: Path) -> Checkout:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():  # not one that was deleted
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    if (ROOT / "data/mnist").is_dir():  # otherwise the workflow fetches it
        shutil.copytree(ROOT / "data/mnist", folder / "data/mnist")
    return Checkout(folder)


@pytest.fixture(scope="session")
def smoke(tmp_path_factory) -> Checkout:
    """A checkout in which scale `smoke` has been run."""
    checkout = copy_of_checkout(tmp_path_factory.mktemp("checkout"))
    checkout.run()
    return checkout


@contextmanager
def changed(path: Path, content: bytes) -> Iterator[None]:
    """Another content for a while; afterwards the file is as it was, its times too."""
    before, times = path.read_bytes(), path.stat()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def results(checkout: Checkout, suffix: str, scale: str = "smoke") -> list[Path]:
    return sorted((checkout / f"results/{scale}").rglob(f"*{suffix}"))


# What a run leaves --------------------------------------------------------------------------------


def assert_figures(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        with open(folder / f"{name}.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) >= 3
        assert all(None not in row and None not in row.values() for row in rows)


def test_every_figure_is_there(smoke):
    assert_figures(smoke / "results/smoke/figures/universality", FIGURES)
    with open(smoke / "results/smoke/checkpoints/mlp_mnist/training.csv", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2"]


def test_a_figures_table_holds_the_merged_tables_numbers(smoke):
    table = read_hdf5(smoke / "results/smoke/outliers/mlp_mnist.h5")
    assert table["values"].shape == (3, 3, 3, 5)
    with open(smoke / "results/smoke/figures/universality/atlas-mlp_mnist.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == table["values"].size
    for row in rows:
        cell = (
            list(table["epoch"]).index(int(row["epoch"])),
            list(table["batch_size"]).index(int(row["batch_size"])),
            list(table["seed"]).index(int(row["seed"])),
            int(row["outlier"]) - 1,
        )
        assert float(row["eigenvalue"]) == table["values"][cell]
        assert float(row["residual"]) == table["residuals"][cell]
        assert row["data"] == table["data"]


def test_a_second_run_does_nothing(smoke):
    before = {path: path.stat().st_mtime_ns for path in results(smoke, "")}
    assert "Nothing to be done" in smoke.run().text
    assert {path: path.stat().st_mtime_ns for path in results(smoke, "")} == before


def test_every_result_says_where_it_comes_from(smoke):
    paths = results(smoke, ".h5")
    assert len(paths) >= 5
    for path in paths:
        record = read_provenance(path)
        assert json.loads(record["settings"])["seed"] == 2022
        versions = json.loads(record["versions"])
        assert versions.pop("python") == ".".join(map(str, sys.version_info[:3]))
        assert versions["numpy"] == version("numpy")
        assert all(version(name) == used for name, used in versions.items())
        if "/outliers/mlp_mnist/" in str(path):
            assert "torch" in versions
        assert record["threads"] == 1
        assert record["device"]
        inputs = json.loads(record["inputs"])
        sampled = "/ensembles/" in str(path) or "/geometry/" in str(path)
        assert inputs or sampled, "only random matrices and random targets are made of nothing"
        for name, digest in inputs.items():
            assert sha256_of_file(smoke / name) == digest, f"{path}: {name}"


def test_nothing_is_left_beside_the_results(smoke):
    names = {path.name for path in results(smoke, "")}
    assert not [name for name in names if name.startswith(".") and name != ".state"]
    assert not list((smoke / "results").rglob(".state/*"))
    git = {"cwd": smoke.folder, "capture_output": True, "text": True, "check": True}
    subprocess.run(["git", "init", "-q"], **git)
    try:
        subprocess.run(["git", "add", "."], **git)
        listed = subprocess.run(["git", "ls-files"], **git).stdout.splitlines()
    finally:
        shutil.rmtree(smoke / ".git")
    assert not [name for name in listed if name.startswith(("results", ".snakemake/"))]


# The cut into jobs --------------------------------------------------------------------------------


def same_slice(part: dict[str, Any], whole: dict[str, Any], epoch: int) -> None:
    """A unit's table is its part of the merged table, to the bit."""
    cells = np.ix_(
        np.flatnonzero(whole["epoch"] == epoch),
        np.flatnonzero(np.isin(whole["batch_size"], part["batch_size"])),
        np.flatnonzero(np.isin(whole["seed"], part["seed"])),
    )
    compared = 0
    for name, values in part.items():
        if np.ndim(values) >= 2:
            assert values.dtype == whole[name].dtype
            assert values.tobytes() == whole[name][cells][0].tobytes(), name
            compared += 1
    assert compared >= 4


def test_units_of_every_level_are_slices_of_the_merged_table(smoke):
    folder = "results/smoke/outliers/mlp_mnist/epoch-001"
    units = [f"{folder}/batch-000032/seed-02.h5", f"{folder}/batch-000128.h5"]
    smoke.run(*units)
    whole = read_hdf5(smoke / "results/smoke/outliers/mlp_mnist.h5")
    shapes = []
    for unit in [*units, f"{folder}.h5"]:
        part = read_hdf5(smoke / unit)
        same_slice(part, whole, epoch=1)
        shapes.append(part["values"].shape)
    assert shapes == [(1, 1, 5), (1, 3, 5), (3, 3, 5)]
    assert "Nothing to be done" in smoke.plan(*TARGETS).text, "asking for units changes no results"


@pytest.mark.slow
def test_the_cut_into_jobs_changes_no_number(smoke):
    """Trained anew under another name: so checkpoints repeat to the bit as well."""
    whole = read_hdf5(smoke / "results/smoke/outliers/mlp_mnist.h5")
    target = "results/another_cut/outliers/mlp_mnist.h5"
    curvature = {"batch_sizes": [32, 128], "seeds": 2}
    planned = {"batch_size": {"initialise": 1, "train": 1, "outliers": 4}, "seed": {"outliers": 8}}
    for level, jobs in planned.items():
        run = {"checkpoints": [0, 1], "curvature": curvature | {"job_per": level}}
        figures = {"universality": {"fig3": {"runs": ["mlp_mnist"]}}}
        overlay = {"scale": "another_cut", "runs": {"mlp_mnist": run}, "figures": figures}
        answer = smoke.run(target, overlays=(SMOKE, overlay))
        assert answer.jobs == jobs | {"merge_outliers": 1}
        part = read_hdf5(smoke / target)
        assert part["values"].shape == (2, 2, 2, 5)
        for name, values in part.items():
            if np.ndim(values) >= 3:
                assert values.tobytes() == whole[name][:2, :2, :2].tobytes(), name
    for epoch in (0, 1):
        ours, theirs = (
            smoke / f"results/{scale}/checkpoints/mlp_mnist/epoch-{epoch:03d}.pt"
            for scale in ("another_cut", "smoke")
        )
        assert ours.read_bytes() == theirs.read_bytes()


def test_the_timeline_has_every_job(smoke):
    smoke.run("timeline")
    with open(smoke / "results/smoke/timeline.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    drawn = {row["job"].removeprefix("figures/") for row in rows if row["stage"] == "figures"}
    folder = smoke / "results/smoke/figures"
    pictures = {
        path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.png")
    }
    assert drawn >= pictures
    assert {"checkpoints", "outliers", "exact", "statistics"} <= {row["stage"] for row in rows}
    assert min(float(row["start_seconds"]) for row in rows) == pytest.approx(0, abs=1e-6)
    assert all(float(row["import_seconds"]) > 0 for row in rows)
    assert (smoke / "results/smoke/timeline.png").read_bytes().startswith(b"\x89PNG")


# Plans --------------------------------------------------------------------------------------------

SCALES = {"laptop": (), "smoke": (SMOKE,), "paper": ("workflow/scales/paper.yaml",)}


@pytest.mark.parametrize(
    "scale", ["laptop", "smoke", pytest.param("paper", marks=pytest.mark.slow)]
)
def test_every_scale_and_every_address_can_be_planned(smoke, scale):
    folder = f"results/{scale}"
    addresses = [
        "checkpoints/mlp_mnist/epoch-000.pt",
        "checkpoints/mlp_mnist/epoch-002.pt",
        "checkpoints/mlp_mnist/training.csv",
        "outliers/mlp_mnist/epoch-001.h5",
        "outliers/mlp_mnist/epoch-001/batch-000032.h5",
        "outliers/mlp_mnist/epoch-001/batch-000512/seed-01.h5",
        "outliers/mlp_mnist.h5",
        "exact/mlp_mnist/epoch-001/test/batches-0000-0005.h5",
        "exact/mlp_mnist/epoch-001/train/full.h5",
        "exact/mlp_mnist/epoch-001/train/solvers-0000.h5",
        "extreme/mlp_mnist/epoch-001/draw-000064-01.h5",
        "density/mlp_mnist/epoch-001/full.h5",
        "density/mlp_mnist/epoch-001/draw-000064-01.h5",
        "embeddings/mlp_mnist/epoch-001.h5",
        "statistics/universality/outliers-mlp_mnist.h5",
        "figures/universality/atlas-mlp_mnist.png",
    ]
    assert smoke.plan("all", overlays=SCALES[scale]).code == 0
    targets = [f"{folder}/{address}" for address in addresses]
    answer = smoke.plan("--forceall", *targets, overlays=SCALES[scale])
    config = merged_config([str(ROOT / path) for path in ("config.yaml", *SCALES[scale])])
    epochs = len(config["runs"]["mlp_mnist"]["checkpoints"])
    expected = {
        "initialise": 1,
        "train": epochs - 1,
        "training_table": 1,
        "outliers": epochs + 2,
        "exact": 3,
        "extreme": 1,
        "density": 2,
        "embeddings": 1,
        "merge_outliers": 1,
        "outlier_fits": 1,
        "universality_atlas": 1,
    }
    assert expected.items() <= answer.jobs.items()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("results/laptop/outliers/mlp_mnist.h5", "No rule to produce"),
        ("results/smoke/outliers/another_run.h5", "No rule to produce"),
        ("results/smoke/outliers/mlp_mnist/epoch-1.h5", "No rule to produce"),
        (
            "results/smoke/checkpoints/mlp_mnist/epoch-077.pt",
            "runs.mlp_mnist.checkpoints has no epoch 77; it has 0, 1, 2",
        ),
        (
            "results/smoke/outliers/mlp_mnist/epoch-077/batch-000032.h5",
            "runs.mlp_mnist.checkpoints has no epoch 77; it has 0, 1, 2",
        ),
    ],
)
def test_what_is_not_in_config_is_refused(smoke, target, words):
    answer = smoke.snakemake("-n", target)
    assert answer.code == 1
    assert words in answer.text


SNAKEMAKES_OWN = ("Using workflow specific profile", "Config file config.yaml is extended")


@pytest.mark.parametrize(
    ("run", "key", "hint"),
    [
        ({"curvature": {"tolerence": 1e-3}}, "runs.mlp_mnist.curvature.tolerence", "tolerance"),
        ({"curvature": {"batch_sizes": [32, 4096]}}, "curvature.batch_sizes[1]", "2000"),
        ({"training": {"batch_size": 5000}}, "runs.mlp_mnist.training.batch_size", "2000"),
        ({"network": {"name": "mpl"}}, "runs.mlp_mnist.network.name", "mlp"),
        ({"curvature": {"seeds": 0}}, "runs.mlp_mnist.curvature.seeds", "1"),
    ],
)
def test_mistakes_in_config_are_one_line(smoke, run, key, hint):
    answer = smoke.snakemake("-n", overlays=(SMOKE, {"runs": {"mlp_mnist": run}}))
    assert answer.code == 1
    assert "Traceback" not in answer.text
    lines = [line for line in answer.text.splitlines() if not line.startswith(SNAKEMAKES_OWN)]
    assert len(lines) == 1, answer.text
    assert lines[0].startswith("error in config")
    assert key in lines[0]
    assert hint in lines[0]


# What reruns what ---------------------------------------------------------------------------------

OUTLIERS = {"outliers": 3, "merge_outliers": 1, "outlier_fits": 1}
DRAWN = {"universality_fig2": 1, "universality_fig3": 1, "universality_atlas": 1}
TRAINED = {"initialise": 1, "train": 2, "training_table": 1}
CONCLUDED = {"claims": 1, "claims_table": 1, "front_page": 1}


@pytest.mark.parametrize(
    ("overlay", "rerun"),
    [
        ({"runs": {"mlp_mnist": {"curvature": {"tolerance": 1e-3}}}}, OUTLIERS | DRAWN),
        ({"runs": {"mlp_mnist": {"label": "Another name"}}}, DRAWN),
        (
            {"runs": {"mlp_mnist": {"training": {"learning_rate": 0.01}}}},
            TRAINED | OUTLIERS | DRAWN,
        ),
        ({"runs": {"mlp_mnist": {"compute": {"memory_mb": 1000}}}}, OUTLIERS | DRAWN),
        ({"outlier_fits": {"bootstrap": 40}}, {"outlier_fits": 1} | DRAWN),
        ({"seed": 1}, TRAINED | OUTLIERS | DRAWN),
    ],
    ids=lambda value: json.dumps(value) if "universality_fig2" not in value else "",
)
def test_a_setting_reruns_what_depends_on_it(smoke, overlay, rerun):
    assert smoke.plan(*TARGETS, overlays=(SMOKE, overlay)).jobs == rerun


MODULES = {
    "figures/style.py": DRAWN,
    "rmt/outlier_table.py": {"merge_outliers": 1, "outlier_fits": 1} | DRAWN,
    "curvature/lanczos.py": OUTLIERS | DRAWN,
    "networks/mlp.py": TRAINED | OUTLIERS | DRAWN,
    "config.py": {},
}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_reruns_what_imports_it(smoke, module):
    path = smoke / f"workflow/hessian_rmt/{module}"
    with changed(path, path.read_bytes() + b"\n# changed\n"):
        assert smoke.plan(*TARGETS).jobs == MODULES[module]


SPACINGS = {"local_statistics", "rigidity"}
DRAWN_FROM_SPACINGS = {f"applicability_{figure}" for figure in ("fig3", "fig4", "figS", "figX1")}
DRAWN_FROM_NOISE = {"universality_figX1", "universality_figX2"}


def of_run(run: str, **settings: Any) -> dict[str, Any]:
    return {"runs": {run: settings}}


def of_figure(paper: str, figure: str, **settings: Any) -> dict[str, Any]:
    """An overlay states all figures: those of scale smoke with one changed."""
    figures = yaml.safe_load((ROOT / SMOKE).read_text())["figures"]
    figures[paper][figure] |= settings
    return {"figures": figures}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overlay", "rerun"),
    [
        (of_run("mlp_mnist", exact={"memory_mb": 5000}), set()),
        (of_run("mlp_mnist", curvature={"job_per": "epoch"}), set()),
        (
            of_run("mlp_mnist", exact={"batch_size": 64}),
            {"exact", "applicability_fig1", "universality_tableX1"}
            | SPACINGS
            | DRAWN_FROM_SPACINGS - {"applicability_fig3"},
        ),
        (
            of_run("mlp_mnist", extreme={"products": 420}),
            {"extreme", "extreme_statistics", "applicability_figX2"},
        ),
        (
            of_run("mlp_mnist14", noise={"directions": 6}),
            {"noise", "noise_statistics", "universality_tableX1"} | DRAWN_FROM_NOISE,
        ),
        (
            of_run("preresnet_fashion", training={"learning_rate": 0.05}),
            {"train", "embeddings", "training_table", "exact", "local_statistics"}
            | {"applicability_fig3"},
        ),
        (
            {"local_tests": {"replicates": 20}},
            {"noise_statistics", "extreme_statistics", "gaussian_process"}
            | {"applicability_fig5", "applicability_fig6", "applicability_figX2"}
            | SPACINGS
            | DRAWN_FROM_SPACINGS
            | DRAWN_FROM_NOISE,
        ),
        (
            {"gaussian_process": {"samples": 5}},
            {"gaussian_process", "applicability_fig5", "applicability_fig6"},
        ),
        (of_figure("universality", "fig4", samples=5), {"ensembles", "universality_fig4"}),
        (of_figure("universality", "figX3", samples=9), {"concentration", "universality_figX3"}),
        (of_figure("geometry", "fig1", samples=9), {"geometry_densities", "geometry_fig1"}),
        (of_figure("geometry", "figX1", samples=9), {"geometry_indices", "geometry_figX1"}),
        (of_figure("geometry", "fig4", samples=3), {"autoencoder_spectra", "geometry_fig4"}),
        (of_figure("geometry", "fig6", bootstrap=21), {"critical_fits", "geometry_fig6"}),
        (
            of_figure("geometry", "fig6", refined_steps=61),
            {"critical_points", "critical_fits", "geometry_fig6"},
        ),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_a_setting_reruns_its_stage_and_no_other(smoke, overlay, rerun):
    """And, where a number may change, the claims that are judged by numbers."""
    judged = {"claims", "claims_table", "front_page"} if rerun else set()
    assert set(smoke.plan(overlays=(SMOKE, overlay)).jobs) == rerun | judged


def test_one_arm_of_critical_points_is_searched_anew(smoke):
    overlay = of_figure("geometry", "fig6", refined_steps=61)
    assert smoke.plan(overlays=(SMOKE, overlay)).jobs["critical_points"] == 2


def test_the_table_of_provenance_has_every_result(smoke):
    smoke.run("provenance")
    folder = smoke / "results/smoke"
    with open(folder / "provenance.csv", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert set(rows) == {str(path.relative_to(folder)) for path in results(smoke, ".h5")}
    for name, row in rows.items():
        assert row["sha256"] == sha256_of_file(folder / name)
        settings = json.loads(row["settings"])
        text = json.dumps(settings, sort_keys=True).encode()
        assert row["settings_sha256"] == hashlib.sha256(text).hexdigest()
        assert row["seed"] == str(settings["seed"]) == "2022"
        assert row["device"]
        assert row["threads"] == "1"
        assert f"numpy={version('numpy')}" in row["versions"].split()
        assert float(row["wall_seconds"]) >= 0, name
    unit = rows["outliers/mlp_mnist/epoch-001.h5"]
    checkpoint = "results/smoke/checkpoints/mlp_mnist/epoch-001.pt"
    assert unit["inputs"] == f"{checkpoint}={sha256_of_file(smoke / checkpoint)}"
    assert "Nothing to be done" in smoke.plan("provenance").text


def test_no_parameter_holds_a_commit():
    """A new commit would rerun everything."""
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        assert not re.search(r"rev-parse|commit|subprocess", path.read_text()), path


def test_a_module_with_its_old_content_reruns_nothing(smoke):
    """As after changing to another branch and back: times differ, checksums do not."""
    for module in MODULES:
        (smoke / f"workflow/hessian_rmt/{module}").touch()
    assert "Nothing to be done" in smoke.plan().text


# Failures -----------------------------------------------------------------------------------------


def test_a_damaged_checkpoint_is_a_sentence_in_the_log(smoke):
    name = "results/smoke/checkpoints/mlp_mnist/epoch-001.pt"
    unit = "outliers/mlp_mnist/epoch-001/batch-000032/seed-01"
    content = bytearray((smoke / name).read_bytes())
    content[len(content) // 2] ^= 1
    with changed(smoke / name, bytes(content)):
        answer = smoke.snakemake("--cores", "1", f"results/smoke/{unit}.h5")
    log = (smoke / f"results/smoke/logs/{unit}.log").read_text()
    assert answer.code == 1
    assert log.startswith(f"error: {name} is damaged")
    assert log.count("\n") == 1
    assert f"error: {name} is damaged" in answer.text
    assert not (smoke / f"results/smoke/{unit}.h5").exists()


def test_fewer_cores_than_threads_are_refused(smoke):
    overlay = {"scale": "two_threads", "runs": {"mlp_mnist": {"compute": {"threads": 2}}}}
    target = "results/two_threads/checkpoints/mlp_mnist/epoch-000.pt"
    answer = smoke.snakemake("--cores", "1", target, overlays=(SMOKE, overlay))
    sentence = "error: compute.threads asks for 2 threads and Snakemake grants 1; give it --cores 2"
    log = smoke / "results/two_threads/logs/checkpoints/mlp_mnist/epoch-000.log"
    assert answer.code == 1
    assert sentence in log.read_text()
    assert sentence in answer.text
    assert not (smoke / target).exists()


# The user's own network and data ------------------------------------------------------------------

OWN_NETWORK = """
from pathlib import Path

import hessian_rmt
from torch import nn


def small(input_shape, classes, *, width):
    Path("library-of-the-jobs.txt").write_text(hessian_rmt.__file__)
    channels, height, _ = input_shape
    return nn.Sequential(
        nn.Conv2d(channels, width, 3), nn.Tanh(), nn.Flatten(),
        nn.Linear(width * (height - 2) ** 2, classes),
    )
"""
OWN_RUN = {
    "label": "A network of my own",
    "dataset": {"name": "npz", "path": "arrays/my_images.npz"},
    "network": {"name": "my_networks:small", "arguments": {"width": 4}},
    "training": {
        "epochs": 3,
        "batch_size": 20,
        "learning_rate": 0.05,
        "schedule": "constant",
        "momentum": 0.9,
        "weight_decay": 0.0,
        "augmentation": "flip_crop",
    },
    "checkpoints": [0, 3],
    "curvature": {"outliers": 2, "tolerance": 1.0e-3, "batch_sizes": [10, 30, 90], "seeds": 2},
}
OWN = {
    "scale": "mine",
    "runs": {"my_run": OWN_RUN},
    "figures": {
        "universality": {
            "fig2": {"rows": [{"run": "my_run", "epoch": 3}], "outliers": [1, 2]},
            "fig3": {"runs": ["my_run"]},
            "atlas": {"runs": ["my_run"]},
        }
    },
    "outlier_fits": {"bootstrap": 10},
}


@pytest.fixture(scope="session")
def own(smoke) -> Checkout:
    rng = np.random.default_rng(0)
    arrays = {}
    centres = rng.standard_normal((3, 1, 6, 6))
    for part, count in (("train", 100), ("test", 30)):
        targets = np.arange(count) % 3
        arrays[f"{part}_inputs"] = centres[targets] + rng.standard_normal((count, 1, 6, 6))
        arrays[f"{part}_targets"] = targets
    (smoke / "arrays").mkdir()
    np.savez(smoke / "arrays/my_images.npz", **arrays)
    (smoke / "my_networks.py").write_text(OWN_NETWORK)
    smoke.run(overlays=(OWN,))
    return smoke


def test_a_users_own_run_gives_its_figures(own):
    names = ("fig2", "fig3", "atlas-my_run")
    assert_figures(own / "results/mine/figures/universality", names)
    assert read_hdf5(own / "results/mine/outliers/my_run.h5")["data"] == "my_images.npz"
    assert "Nothing to be done" in own.plan(overlays=(OWN,)).text


def test_the_copys_jobs_use_its_own_library(own):
    """Although another checkout is installed in the environment."""
    used = Path((own / "library-of-the-jobs.txt").read_text())
    assert used.samefile(own / "workflow/hessian_rmt/__init__.py")


@pytest.mark.parametrize("name", ["my_networks.py", "arrays/my_images.npz"])
def test_changing_ones_network_or_data_retrains(own, name):
    content = (own / name).read_bytes()
    with changed(own / name, content + b"\n# changed\n"):
        jobs = own.plan(overlays=(OWN,)).jobs
    assert (
        jobs
        == {"initialise": 1, "train": 1, "training_table": 1}
        | OUTLIERS
        | DRAWN
        | {"outliers": 2}
        | CONCLUDED
    )


# Claims, the front page and the report ------------------------------------------------------------


def test_claims_and_the_front_page_are_made_of_what_config_asks_for(smoke):
    with open(smoke / "results/smoke/claims.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    papers = {path.stem for path in (smoke / "results/smoke/claims").glob("*.json")}
    assert papers == set(yaml.safe_load((smoke / SMOKE).read_text())["figures"])
    assert {row["paper"] for row in rows} == papers
    page = (smoke / "results/smoke/index.html").read_text()
    for row in rows:
        assert f'id="{row["id"]}"' in page
    for target in re.findall(r'(?:href|src)="([^"#:]+)"', page):
        assert (smoke / f"results/smoke/{target}").is_file(), target


def test_a_statistic_reruns_its_papers_claims(smoke):
    path = smoke / "workflow/hessian_rmt/geometry/indices.py"
    with changed(path, path.read_bytes() + b"\n# changed\n"):
        jobs = smoke.plan().jobs
    assert jobs == {"geometry_indices": 1, "geometry_figX1": 1} | CONCLUDED


def test_claims_of_users_own_runs_are_of_their_paper(own):
    rows = json.loads((own / "results/mine/claims/universality.json").read_text())
    assert {row["verdict"] for row in rows} == {"not testable at this scale"}
    assert not (own / "results/mine/claims/geometry.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; apt-get install chromium")
@pytest.mark.parametrize("what", ["front page", "report"])
def test_pages_load_in_a_browser(smoke, what, tmp_path):
    """Every figure is there, and the console has no complaint."""
    figures = [path for path in results(smoke, ".png") if path.parent.parent.name == "figures"]
    with browser(tmp_path) as page:
        if what == "front page":
            page.open(smoke / "results/smoke/index.html")
            assert page.run("[...document.images].every(i => i.naturalWidth > 0)")
            shown = page.run("[...document.images].map(i => i.getAttribute('src'))")
            assert {smoke / f"results/smoke/{name}" for name in shown} == set(figures)
        else:
            answer = smoke.snakemake("--report", "report.html")
            assert answer.code == 0, answer.text[-2000:]
            page.open(smoke / "report.html")
            assert "universality" in page.run("document.body.innerText")
            held = page.run("Object.keys(results)")
            assert {str(path.relative_to(smoke.folder)) for path in figures} <= set(held)
            assert "results/smoke/claims.csv" in held
            # a warning by the style sheet that Snakemake puts into every report
            page.problems = [text for text in page.problems if "tailwindcss" not in text]
        assert page.problems == []
