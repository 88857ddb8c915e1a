"""What the rules share: the checked configuration, addresses, and functions of wildcards."""

import os
import sys

from snakemake.utils import validate

WORKFLOW = os.path.join(workflow.basedir, "workflow")
# This checkout's library and the user's own modules, here and in every job, before what is installed.
sys.path[:0] = [WORKFLOW, os.getcwd()]
os.environ.update(
    PYTHONPATH=os.pathsep.join(
        [WORKFLOW, os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
)

from hessian_rmt.config import check_config, run_settings
from hessian_rmt.data.catalogue import KNOWN, files_of
from hessian_rmt.dependencies import library_modules, module_of
from hessian_rmt.errors import UserError
from hessian_rmt.networks import BUILDERS

try:
    config.update(check_config(config))
except UserError as error:
    sys.exit(f"error in config: {error}")
validate(config, os.path.join(WORKFLOW, "schemas", "config.schema.yaml"))

SCALE = config["scale"]
RESULTS = f"results/{SCALE}"


wildcard_constraints:
    scale=SCALE,
    run="|".join(config["runs"]),
    epoch=r"\d{3}",
    unit=r"epoch-\d{3}(/batch-\d{6}(/seed-\d{2})?)?",


def library(script):
    """The library's modules that a script is made of: inputs, so that a change in one reruns it."""
    modules = library_modules(os.path.join(WORKFLOW, "scripts", script))
    return [os.path.relpath(module) for module in modules]


def dataset_of(run):
    return config["runs"][run]["dataset"]


def data_folder(wildcards):
    return f"data/{dataset_of(wildcards.run)['name']}"


def data_files(wildcards):
    """The files that a run's data set is read from."""
    dataset = dataset_of(wildcards.run)
    if dataset["name"] == "synthetic":
        return []
    if dataset["name"] == "npz":
        return [dataset["path"]]
    return [f"data/{dataset['name']}/{file}" for file in files_of(dataset["name"])]


def network_module(wildcards):
    """The module that builds a run's network: the library's, or the user's own."""
    name = config["runs"][wildcards.run]["network"]["name"]
    return [os.path.relpath(module) for module in module_of(BUILDERS.get(name, name))]


def training_settings(wildcards):
    return run_settings(
        config, wildcards.run, "dataset", "network", "training", "compute"
    )


def run_threads(wildcards):
    return config["runs"][wildcards.run]["compute"]["threads"]


def run_memory_mb(wildcards):
    """The budget for graphs, and what Python, torch and the data set take beside it."""
    return config["runs"][wildcards.run]["compute"]["memory_mb"] + 1500


def figure_files(paper, name):
    """A figure's outputs; its pdf goes into the report with the caption of the same name."""
    folder = f"results/{{scale}}/figures/{paper}"
    caption = f"../report/{paper}_{name.split('-')[0]}.rst"
    image = report(f"{folder}/{name}.png", caption=caption, category=paper)
    return dict(pdf=f"{folder}/{name}.pdf", png=image, csv=f"{folder}/{name}.csv")


def figures_of(paper):
    """Every file that config asks for of a paper's figures, and the training tables of their runs."""
    names, runs = [], set()
    for figure, settings in config["figures"].get(paper, {}).items():
        of_figure = settings.get("runs", []) + [
            row["run"] for row in settings.get("rows", [])
        ]
        names += (
            [f"atlas-{run}" for run in of_figure] if figure == "atlas" else [figure]
        )
        runs.update(of_figure)
    return expand(
        RESULTS + "/figures/{paper}/{name}.{suffix}",
        paper=paper,
        name=names,
        suffix=["pdf", "png", "csv"],
    ) + [f"{RESULTS}/checkpoints/{run}/training.csv" for run in sorted(runs)]
