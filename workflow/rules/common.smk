"""What the rules share: the checked configuration, addresses, and functions of wildcards."""

import os
import sys

from snakemake.common.configfile import load_configfile
from snakemake.utils import validate

WORKFLOW = os.path.join(workflow.basedir, "workflow")
# This checkout's library and the user's own modules, here and in every job, before what is installed.
sys.path[:0] = [WORKFLOW, os.getcwd()]
os.environ.update(
    PYTHONPATH=os.pathsep.join(
        [WORKFLOW, os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
)

# glibc gives arrays of more than 128 kB back to the system and gets them anew, zeroed, page by page:
# up to a quarter of a small convolutional network's product. It keeps them up to these limits, in bytes.
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**25))
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**30))

from hessian_rmt.config import check_config, run_settings
from hessian_rmt.config_families import members
from hessian_rmt.costs import runtime_minutes
from hessian_rmt.data.catalogue import KNOWN, files_of
from hessian_rmt.dependencies import library_modules, module_of
from hessian_rmt.errors import UserError
from hessian_rmt.networks import BUILDERS

# Snakemake merges an overlay deeply; but what it wants built is its own, not config.yaml's beside it.
for overlay in reversed(workflow.overwrite_configfiles or []):
    if "figures" in (settings := load_configfile(overlay)):
        config["figures"] = settings["figures"]
        break

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
    part="train|test",
    paper="universality|applicability|deep_learning_limit|geometry",
    sums="pairs|graphs",
    spectra=r"full|(batches|plain)-\d{4}-\d{4}|solvers-\d{4}",
    sample=r"draw-(?!000000)\d{6}-\d{2}",
    first=r"\d{4}",
    last=r"\d{4}",
    arm="newton|refined|descent|minimum|linear",
    examples=r"\d{6}",
    unit=r"epoch-\d{3}(/batch-\d{6}(/seed-\d{2})?)?",


def library(script):
    """The library's modules that a script is made of: inputs, so that a change in one reruns it."""
    modules = library_modules(os.path.join(WORKFLOW, "scripts", script))
    return [os.path.relpath(module) for module in modules]


def dataset_of(run):
    return config["runs"][run]["dataset"]


def data_folder(wildcards):
    dataset = dataset_of(wildcards.run)
    if dataset["name"] == "embeddings":
        return f"{RESULTS}/embeddings/{dataset['run']}"
    return f"data/{dataset['name']}"


def data_files(wildcards):
    """The files that a run's data set is read from."""
    dataset = dataset_of(wildcards.run)
    if dataset["name"] == "synthetic":
        return []
    if dataset["name"] == "npz":
        return [dataset["path"]]
    if dataset["name"] == "embeddings":
        return [f"{data_folder(wildcards)}/epoch-{dataset['epoch']:03d}.h5"]
    return [f"data/{dataset['name']}/{file}" for file in files_of(dataset["name"])]


def network_module(wildcards):
    """The module that builds a run's network: the library's, or the user's own."""
    name = config["runs"][wildcards.run]["network"]["name"]
    return [os.path.relpath(module) for module in module_of(BUILDERS.get(name, name))]


def training_settings(wildcards):
    """What a checkpoint depends on; memory_mb is for Hessian products."""
    settings = run_settings(
        config, wildcards.run, "dataset", "network", "training", "compute"
    )
    return settings | {"compute": without(settings["compute"], "memory_mb")}


def without(mapping, key):
    return {name: value for name, value in mapping.items() if name != key}


def run_threads(wildcards):
    return config["runs"][wildcards.run]["compute"]["threads"]


def run_memory_mb(wildcards, attempt=1):
    """The budget for graphs, and what Python, torch and the data set take beside it."""
    return attempt * (config["runs"][wildcards.run]["compute"]["memory_mb"] + 1500)


def minutes(wildcards, attempt, rulename):
    """The limit of time that a cluster is asked for."""
    return runtime_minutes(rulename, wildcards, config, attempt)


def run_gpus(wildcards):
    """Asked of a cluster where a run says that it computes on a GPU; auto takes what there is."""
    return int(config["runs"][wildcards.run]["compute"]["device"].startswith("cuda"))


def figure_files(paper, name):
    """A figure's outputs; its png goes into the report with the caption of the same name."""
    folder = f"results/{{scale}}/figures/{paper}"
    caption = f"../report/{paper}_{name.split('-')[0]}.rst"
    image = report(f"{folder}/{name}.png", caption=caption, category=paper)
    return dict(pdf=f"{folder}/{name}.pdf", png=image, csv=f"{folder}/{name}.csv")


def figures_of(paper):
    """What config asks for of a paper's figures, and the training tables of their runs."""
    names, runs = [], set()
    for figure, settings in config["figures"].get(paper, {}).items():
        rows = settings.get("rows", [])
        of_figure = settings.get("runs", []) + [row["run"] for row in rows]
        each_run = [f"{figure}-{run}" for run in of_figure]
        names += each_run if figure in ("atlas", "figS", "figA") else [figure]
        runs.update(of_figure)
    figures = [
        f"{RESULTS}/figures/{paper}/{name}.{suffix}"
        for name in names
        if not name.startswith("table")
        for suffix in ("pdf", "png", "csv")
    ]
    figures += [
        f"{RESULTS}/tables/{paper}/{name}.csv"
        for name in names
        if name.startswith("table")
    ]
    training = [f"{RESULTS}/checkpoints/{run}/training.csv" for run in sorted(runs)]
    return figures + training


# Data ---------------------------------------------------------------------------------------------


def data_folder_of_output(wildcards, output):
    """data/{dataset}; a data set's files may lie in a folder of their own below it."""
    return os.path.join(*output[0].split("/")[:2])


def folder_of_output(wildcards, output):
    return os.path.dirname(output[0])


# Training -----------------------------------------------------------------------------------------


def previous_checkpoint(wildcards):
    """The checkpoint before this one among the run's configured epochs; none for the first.

    The initialisation follows from seeds, so a training makes its own, and `initialise` is for
    those who look at epoch 0.
    """
    epochs = config["runs"][wildcards.run]["checkpoints"]
    epoch = int(wildcards.epoch)
    if epoch not in epochs:
        raise WorkflowError(
            f"runs.{wildcards.run}.checkpoints has no epoch {epoch}; it has "
            + ", ".join(map(str, epochs))
        )
    previous = epochs[epochs.index(epoch) - 1]
    folder = f"{RESULTS}/checkpoints/{wildcards.run}"
    return [f"{folder}/epoch-{previous:03d}.pt"] if previous > 0 else []


def last_history(wildcards):
    epoch = config["runs"][wildcards.run]["checkpoints"][-1]
    return f"{RESULTS}/checkpoints/{wildcards.run}/epoch-{epoch:03d}.csv"


# Outliers -----------------------------------------------------------------------------------------


def outlier_settings(wildcards):
    """What the numbers depend on; where the grid is cut into jobs is not part of it."""
    parts = ("dataset", "network", "training", "hessian", "curvature", "compute")
    settings = run_settings(config, wildcards.run, *parts)
    return settings | {"curvature": without(settings["curvature"], "job_per")}


def outlier_memory_mb(wildcards):
    """The Lanczos basis, the budget for graphs, and what Python, torch and the data set take."""
    basis = config["runs"][wildcards.run]["curvature"]["memory_mb"]
    return run_memory_mb(wildcards) + basis


def checkpoint_of_unit(wildcards):
    epoch = wildcards.unit[: len("epoch-000")]
    return f"{RESULTS}/checkpoints/{wildcards.run}/{epoch}.pt"


def units_of_run(wildcards):
    """The files that a run's grid is cut into, as `job_per` says."""
    run = config["runs"][wildcards.run]
    curvature = run["curvature"]
    patterns = {
        "epoch": "epoch-{epoch:03d}",
        "batch_size": "epoch-{epoch:03d}/batch-{batch_size:06d}",
        "seed": "epoch-{epoch:03d}/batch-{batch_size:06d}/seed-{seed:02d}",
    }
    units = [
        patterns[curvature["job_per"]].format(
            epoch=epoch, batch_size=batch_size, seed=seed
        )
        for epoch in run["checkpoints"]
        for batch_size in curvature["batch_sizes"]
        for seed in range(curvature["seeds"])
    ]
    folder = f"{RESULTS}/outliers/{wildcards.run}"
    return [f"{folder}/{unit}.h5" for unit in dict.fromkeys(units)]


# Exact spectra ------------------------------------------------------------------------------------


def exact_settings(wildcards):
    parts = ("dataset", "network", "training", "hessian", "compute", "exact")
    settings = run_settings(config, wildcards.run, *parts)
    return settings | {"exact": {"batch_size": settings["exact"]["batch_size"]}}


def exact_memory_mb(wildcards, attempt=1):
    """Declared to Snakemake, and the limit beyond which the exact path refuses."""
    return attempt * config["runs"][wildcards.run]["exact"]["memory_mb"]


def checkpoint_of_epoch(wildcards):
    return f"{RESULTS}/checkpoints/{wildcards.run}/epoch-{wildcards.epoch}.pt"


def exact_folder(run, epoch, part):
    return f"{RESULTS}/exact/{run}/epoch-{epoch:03d}/{part}"


def batch_files(run, epoch, part, path, batches):
    """The files that hold the first `batches` batches, in jobs of `batches_per_job`."""
    per_job = config["runs"][run]["exact"]["batches_per_job"]
    folder = exact_folder(run, epoch, part)
    starts = range(0, batches, per_job)
    ends = [min(start + per_job, batches) - 1 for start in starts]
    return [
        f"{folder}/{path}-{start:04d}-{end:04d}.h5" for start, end in zip(starts, ends)
    ]


def reduced_spectra(wildcards):
    w, batches = wildcards, config["runs"][wildcards.run]["exact"]["batches"]
    return batch_files(w.run, int(w.epoch), w.part, "batches", batches)


def plain_spectra(wildcards):
    w, exact = wildcards, config["runs"][wildcards.run]["exact"]
    batches = exact["plain_batches"] if w.part in exact["plain_parts"] else 0
    return batch_files(w.run, int(w.epoch), w.part, "plain", batches)


def full_spectrum(wildcards):
    """The spectrum over a whole split, where the run asks for it."""
    w, parts = wildcards, config["runs"][wildcards.run]["exact"]["full"]
    folder = exact_folder(w.run, int(w.epoch), w.part)
    return [f"{folder}/full.h5"] if w.part in parts else []


def cell_statistics(row, what):
    folder = f"{RESULTS}/statistics/applicability/{what}"
    return f"{folder}/{row['run']}/epoch-{row['epoch']:03d}/{row['part']}.h5"


def local_statistics_file(row):
    return cell_statistics(row, "local")


def rigidity_file(row):
    return cell_statistics(row, "rigidity")


# Outermost eigenvalues ----------------------------------------------------------------------------


def extreme_settings(wildcards):
    """What the numbers depend on beside the address, which names the batch."""
    parts = ("dataset", "network", "training", "hessian", "compute", "extreme")
    settings = run_settings(config, wildcards.run, *parts)
    return settings | {
        "extreme": without(without(settings["extreme"], "batch_size"), "seeds")
    }


def extreme_memory_mb(wildcards, attempt=1):
    """The basis, the budget for graphs, and what Python, torch and the data set take."""
    basis = config["runs"][wildcards.run]["extreme"]["memory_mb"]
    return run_memory_mb(wildcards, attempt) + attempt * basis


def extreme_spectra(wildcards):
    w, extreme = wildcards, config["runs"][wildcards.run]["extreme"]
    folder = f"{RESULTS}/extreme/{w.run}/epoch-{w.epoch}"
    return [
        f"{folder}/draw-{extreme['batch_size']:06d}-{seed:02d}.h5"
        for seed in range(extreme["seeds"])
    ]


def extreme_statistics_file(row):
    folder = f"{RESULTS}/statistics/applicability/extreme"
    return f"{folder}/{row['run']}/epoch-{row['epoch']:03d}.h5"


# Spectral densities -------------------------------------------------------------------------------


def density_settings(wildcards):
    """What one sample's numbers depend on; the settings of the other samples are no part of it."""
    run, (kind, *numbers) = wildcards.run, wildcards.sample.split("-")
    density = config["runs"][run]["density"]
    own = {
        key: density[key]
        for key in ("steps", "probes", "precision", "micro_batch", "memory_mb")
    }
    if kind == "draw":
        own |= without(without(density["draws"], "batch_size"), "seeds")
    if kind == "augmented":
        own["steps"] = augmented_set(run, int(numbers[0]))["steps"]
    parts = ("dataset", "network", "training", "hessian", "compute")
    return run_settings(config, run, *parts) | {"density": own}


def augmented_set(run, copies):
    """The settings of a run's augmented set."""
    sets = config["runs"][run]["density"]["augmented"]
    found = {entry["copies"]: entry for entry in sets}
    if copies not in found:
        raise WorkflowError(
            f"runs.{run}.density.augmented has no set of {copies} copies; it has "
            + (", ".join(map(str, found)) or "none")
        )
    return found[copies]


def smaller_sample(wildcards):
    """The next smaller sample, where an augmented set's Lanczos starts from its vectors."""
    run, (kind, *numbers) = wildcards.run, wildcards.sample.split("-")
    if kind != "augmented" or augmented_set(run, int(numbers[0]))["start"] == "random":
        return []
    row = {"run": run, "epoch": int(wildcards.epoch)}
    sets = config["runs"][run]["density"]["augmented"]
    copies = [entry["copies"] for entry in sets if entry["copies"] < int(numbers[0])]
    return [density_file(row, f"augmented-{max(copies):03d}" if copies else "full")]


def density_memory_mb(wildcards):
    """The basis, the budget for graphs, and what Python, torch and the data set take."""
    return (
        run_memory_mb(wildcards) + config["runs"][wildcards.run]["density"]["memory_mb"]
    )


def density_file(row, sample):
    folder = f"{RESULTS}/density/{row['run']}/epoch-{row['epoch']:03d}"
    return f"{folder}/{sample}.h5"


def density_draws(run, epoch):
    """The files of a run's drawn batches at an epoch."""
    draws = config["runs"][run]["density"]["draws"]
    return [
        density_file(
            {"run": run, "epoch": epoch}, f"draw-{draws['batch_size']:06d}-{seed:02d}"
        )
        for seed in range(draws["seeds"])
    ]


def draws_of_epoch(wildcards):
    return density_draws(wildcards.run, int(wildcards.epoch))


def augmented_of_epoch(wildcards):
    """The files of a run's augmented sets at an epoch, in ascending size."""
    row = {"run": wildcards.run, "epoch": int(wildcards.epoch)}
    sets = config["runs"][wildcards.run]["density"]["augmented"]
    return [density_file(row, f"augmented-{entry['copies']:03d}") for entry in sets]


def density_statistics_file(row, what):
    folder = f"{RESULTS}/statistics/deep_learning_limit/{what}"
    return f"{folder}/{row['run']}/epoch-{row['epoch']:03d}.h5"


# Noise --------------------------------------------------------------------------------------------


def noise_of(run):
    """A run's noise settings, which not every run has."""
    if "noise" not in config["runs"][run]:
        raise WorkflowError(f"runs.{run} has no noise settings; add them")
    return config["runs"][run]["noise"]


def noise_settings(wildcards):
    """A run's noise settings with the number of outliers, and what else the matrices depend on."""
    run = wildcards.run
    noise = without(noise_of(run), "memory_mb")
    outliers = config["runs"][run]["curvature"]["outliers"]
    parts = ("dataset", "network", "training", "hessian", "compute")
    settings = run_settings(config, run, *parts)
    return settings | {"noise": noise | {"outliers": outliers}}


def noise_memory_mb(wildcards, attempt=1):
    """Declared to Snakemake, and the limit beyond which the noise is refused."""
    return attempt * noise_of(wildcards.run)["memory_mb"]


def noise_tables(rows):
    return [
        f"{RESULTS}/exact/{row['run']}/epoch-{row['epoch']:03d}/noise.h5"
        for row in rows
    ]


# Ensembles ----------------------------------------------------------------------------------------


def ensemble_settings(wildcards):
    figure = {"pairs": "fig4", "graphs": "fig5"}[wildcards.sums]
    return config["figures"]["universality"][figure] | {"seed": config["seed"]}


def concentration_settings(wildcards):
    return config["figures"]["universality"]["figX3"] | {"seed": config["seed"]}


# Geometry: laws -----------------------------------------------------------------------------------


def geometry_settings(figure):
    """A figure's settings with the seed; without settings it is not part of this scale."""
    return config["figures"].get("geometry", {}).get(figure, {}) | {
        "seed": config["seed"]
    }


# Figures ------------------------------------------------------------------------------------------


def outlier_tables(runs):
    return [f"{RESULTS}/outliers/{run}.h5" for run in runs]


def outlier_fits_of(runs):
    return [f"{RESULTS}/statistics/universality/outliers-{run}.h5" for run in runs]


def label_of(run):
    return config["runs"][run].get("label", run)


def labelled_rows(rows):
    return [dict(row, label=label_of(row["run"])) for row in rows]


# Figures without settings here are not part of this scale.
FIG2 = (
    config["figures"].get("universality", {}).get("fig2", {"rows": [], "outliers": []})
)
FIG2_RUNS = [row["run"] for row in FIG2["rows"]]
FIG1 = (
    config["figures"].get("universality", {}).get("fig1", {"rows": [], "outliers": []})
)
FIG1_RUNS = [row["run"] for row in FIG1["rows"]]
FIG3_RUNS = config["figures"].get("universality", {}).get("fig3", {"runs": []})["runs"]


def atlas_rows(wildcards):
    epochs = config["runs"][wildcards.run]["checkpoints"]
    return labelled_rows({"run": wildcards.run, "epoch": epoch} for epoch in epochs)


def atlas_tables(wildcards):
    return outlier_tables(row["run"] for row in atlas_rows(wildcards))


def atlas_fits(wildcards):
    return outlier_fits_of(row["run"] for row in atlas_rows(wildcards))


def atlas_outliers(wildcards):
    k = config["runs"][wildcards.run]["curvature"]["outliers"]
    return list(range(1, k + 1))


APPLICABILITY = config["figures"].get("applicability", {})
NO_ROWS = {"rows": []}


def labelled_cells(rows):
    return [
        f"{label_of(row['run'])}, epoch {row['epoch']}, {row['part']}" for row in rows
    ]


def solver_files(rows):
    """The first batch of each cell, by every eigensolver."""
    cells = [exact_folder(row["run"], row["epoch"], row["part"]) for row in rows]
    return [f"{folder}/solvers-0000.h5" for folder in cells]


def density_files(rows):
    return [
        batch_files(
            row["run"],
            row["epoch"],
            row["part"],
            "batches",
            config["runs"][row["run"]]["exact"]["batches"],
        )
        for row in rows
    ]


def grid_rows(wildcards):
    """The supplement's cells of a run: initial and trained, train and test."""
    epochs = config["runs"][wildcards.run]["checkpoints"]
    return [
        {"run": wildcards.run, "epoch": epoch, "part": part}
        for epoch in dict.fromkeys([epochs[0], epochs[-1]])
        for part in ("train", "test")
    ]


def grid_statistics(wildcards):
    return [local_statistics_file(row) for row in grid_rows(wildcards)]


def grid_labels(wildcards):
    return labelled_cells(grid_rows(wildcards))


UNIVERSALITY = config["figures"].get("universality", {})
FIGX1 = UNIVERSALITY.get("figX1", NO_ROWS)
FIGX2 = UNIVERSALITY.get("figX2", NO_ROWS)
TABLEX1 = {"noise": []} | UNIVERSALITY.get("tableX1", NO_ROWS)


def labelled_epochs(rows):
    return [f"{label_of(row['run'])}, epoch {row['epoch']}" for row in rows]


def noise_statistics_of(rows):
    folder = f"{RESULTS}/statistics/universality/noise"
    return [f"{folder}/{row['run']}/epoch-{row['epoch']:03d}.h5" for row in rows]


def complexity_cells(rows):
    """Rows with label, batch size, and the files of their exact spectra."""
    return [
        row
        | {
            "files": files,
            "label": label_of(row["run"]),
            "batch_size": config["runs"][row["run"]]["exact"]["batch_size"],
        }
        for row, files in zip(rows, density_files(rows))
    ]


def complexity_noise(rows):
    return [
        row | {"file": file, "label": label_of(row["run"])}
        for row, file in zip(rows, noise_tables(rows))
    ]


# Geometry -----------------------------------------------------------------------------------------

GEOMETRY = config["figures"].get("geometry", {})
CRITICAL_ARMS = ("newton", "refined", "descent", "minimum", "linear")


def critical_settings(wildcards):
    """What an arm's points depend on; how many runs, and how they are cut, is not part of it."""
    keys = {"width", "learning_rate", "start_steps", f"{wildcards.arm}_steps"}
    if wildcards.arm in ("linear", "descent"):
        keys = keys - {"linear_steps"} | {"newton_steps"}
    settings = GEOMETRY["fig6"]
    return {key: settings[key] for key in sorted(keys)} | {"seed": config["seed"]}


def critical_files():
    """The files of each arm of figure 6, all phi together, in jobs of `runs_per_job`."""
    if "fig6" not in GEOMETRY:
        return {}
    settings = GEOMETRY["fig6"]
    per_job, folder = settings["runs_per_job"], f"{RESULTS}/geometry/critical"
    return {
        arm: [
            f"{folder}/{arm}/examples-{examples:06d}/"
            f"runs-{first:04d}-{min(first + per_job, runs) - 1:04d}.h5"
            for examples in settings["examples"]
            for first in range(0, runs, per_job)
        ]
        for arm, runs in ((arm, settings[f"{arm}_runs"]) for arm in CRITICAL_ARMS)
    }


IMAGE_KEYS = ("dataset", "images", "image_size")


def autoencoder_settings(wildcards):
    settings = GEOMETRY[wildcards.figure]
    own = {key: value for key, value in settings.items() if key not in IMAGE_KEYS}
    return own | {"seed": config["seed"]}


def image_settings(wildcards):
    """How a figure's images are read: the settings of a data set."""
    name, images, size = (GEOMETRY[wildcards.figure][key] for key in IMAGE_KEYS)
    return {"name": name, "train_examples": images, "image_size": size}


def image_folder(wildcards):
    return f"data/{GEOMETRY[wildcards.figure]['dataset']}"


def image_files(wildcards):
    name = GEOMETRY[wildcards.figure]["dataset"]
    return [f"data/{name}/{file}" for file in files_of(name)]


def geometry_setting(figure, key):
    """For a caption: None where the figure is not part of this scale."""
    return GEOMETRY.get(figure, {}).get(key)


# Spectral densities: figures ----------------------------------------------------------------------

DEEP_LEARNING_LIMIT = config["figures"].get("deep_learning_limit", {})


def limit_rows(figure):
    return DEEP_LEARNING_LIMIT.get(figure, NO_ROWS)["rows"]


def limit_statistics(figure, what):
    return [density_statistics_file(row, what) for row in limit_rows(figure)]


def limit_spectra(figure):
    return [density_file(row, row["sample"]) for row in limit_rows(figure)]


def spiked_settings():
    """Settings of figure X1 with the seed; without settings it is not part of this scale."""
    return DEEP_LEARNING_LIMIT.get("figX1", {}) | {"seed": config["seed"]}


def first_and_last(run):
    """A run's first and last checkpoint, as rows."""
    epochs = config["runs"][run]["checkpoints"]
    return [
        {"run": run, "epoch": epoch} for epoch in dict.fromkeys([epochs[0], epochs[-1]])
    ]


def whole_spectra(wildcards):
    return [density_file(row, "full") for row in first_and_last(wildcards.run)]


def whole_spectra_labels(wildcards):
    return labelled_epochs(first_and_last(wildcards.run))


# Generalisation -----------------------------------------------------------------------------------


def of_family(figure, arms=None):
    """The members of the family that a figure shows, of the named arms only; none without it."""
    settings = APPLICABILITY.get(figure)
    if settings is None:
        return []
    family = settings["family"]
    found = members(family, config["families"][family])
    return [member for member in found if arms is None or member.arm in arms]


def training_tables(family_members):
    return [
        f"{RESULTS}/checkpoints/{member.run}/training.csv" for member in family_members
    ]


def family_caption(figure):
    """Network, data set and size of what a figure shows, for captions and files."""
    found = of_family(figure)
    return label_of(found[0].run) if found else ""


FIG7 = of_family("fig7")
FIG8 = of_family("fig8")
FIGX3_SETTINGS = APPLICABILITY.get("figX3", {"arms": []})
FIGX3 = of_family("figX3", FIGX3_SETTINGS["arms"])
QUADRATIC = {
    key: FIGX3_SETTINGS.get(key)
    for key in ("dimension", "steps", "learning_rates", "samples")
}


def iterate_checkpoints(wildcards):
    """All checkpoints of a run but its initialisation's, in order."""
    epochs = config["runs"][wildcards.run]["checkpoints"]
    folder = f"{RESULTS}/checkpoints/{wildcards.run}"
    return [f"{folder}/epoch-{epoch:03d}.pt" for epoch in epochs if epoch > 0]


def iterate_tables(family_members):
    return [f"{RESULTS}/iterates/{member.run}.h5" for member in family_members]


def learning_rates_of(family_members):
    """The learning rate at the start of each arm."""
    runs = {member.arm: config["runs"][member.run] for member in family_members}
    return {arm: run["training"]["learning_rate"] for arm, run in runs.items()}
