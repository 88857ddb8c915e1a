"""The configuration: checked when Snakemake starts, before anything is computed.

`workflow/schemas/config.schema.yaml` states what each key may hold; what a schema cannot say (a
figure's run must be defined, a batch must fit in the training split, ...) follows here. Each error
is one sentence: the key's dotted path, what is wrong with its value, what it may be.
"""

import importlib.machinery
import keyword
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hessian_rmt.config_families import runs_of_families
from hessian_rmt.config_schema import (
    Location,
    allowed,
    check_schema,
    check_text,
    choice,
    filled,
    listed,
    load_schema,
    refuse,
    shown,
    suggestion,
)
from hessian_rmt.data.catalogue import IMAGENET, IMAGENET_SIZES, KNOWN
from hessian_rmt.dependencies import module_names, module_spec
from hessian_rmt.errors import UserError
from hessian_rmt.networks import BUILDERS

# Keys that belong to one kind of data set alone, and keys that a kind cannot do without.
_OWN_KEYS = {
    "npz": ["path"],
    "embeddings": ["run", "epoch"],
    "synthetic": ["shape", "classes", "seed"],
}
_NEEDED_KEYS = {
    "npz": ["path"],
    "embeddings": ["run", "epoch"],
    "synthetic": ["shape", "classes", "train_examples"],
}
# Figures whose runs need noise settings.
_FIGURES_OF_NOISE = (("universality", "figX1"), ("universality", "figX2"))


def check_config(config: dict[str, Any]) -> dict[str, Any]:
    """A copy of the merged configuration with the schema's defaults filled in.

    Members of families are added to its runs. The library's own networks get their arguments'
    defaults too. Raises UserError with one sentence for the first thing found wrong.
    """
    check_text((), config)
    check_schema((), config, load_schema())
    config = filled(config, load_schema())
    for name, family in config["families"].items():
        _check_run(("families", name, "run"), family["run"], config["runs"])
    config["runs"] |= dict(runs_of_families(config["families"], config["runs"]))
    for name, run in config["runs"].items():
        _check_run(("runs", name), run, config["runs"])
    _check_figures(config["figures"], config["runs"])
    _check_figures_of_families(config["figures"].get("applicability", {}), config["families"])
    outliers, size = (config["gaussian_process"][key] for key in ("outliers", "size"))
    if outliers > size // 2:
        refuse(
            ("gaussian_process", "outliers"),
            f"is {outliers}, but must be at most {size // 2}, half of gaussian_process.size",
        )
    return config


def run_settings(config: Mapping[str, Any], run: str, *parts: str) -> dict[str, Any]:
    """The named parts of a run's settings and the master seed: params of a rule, plain JSON types.

    ``run_settings(config, "mlp_mnist", "dataset", "training")`` gives the keys `dataset`,
    `training` and `seed`. Raises UserError when there is no such run.
    """
    if run not in config["runs"]:
        raise UserError(f"no run is named {shown(run)}{suggestion(run, config['runs'])}")
    return {part: config["runs"][run][part] for part in parts} | {"seed": config["seed"]}


def _check_run(location: Location, run: dict[str, Any], runs: dict[str, Any]) -> None:
    examples = _training_examples((*location, "dataset"), run["dataset"], runs)
    _check_network((*location, "network"), run["network"])
    batch_size = run["training"]["batch_size"]
    _check_at_most((*location, "training", "batch_size"), batch_size, examples, "training examples")

    checkpoints, epochs = run["checkpoints"], run["training"]["epochs"]
    _check_ascending((*location, "checkpoints"), checkpoints)
    if checkpoints[0] != 0:
        refuse(
            (*location, "checkpoints", 0),
            f"is {checkpoints[0]}, but must be 0: the first checkpoint is the initialisation",
        )
    for index, epoch in enumerate(checkpoints):
        _check_at_most((*location, "checkpoints", index), epoch, epochs, "epochs of the training")

    batch_sizes = run["curvature"]["batch_sizes"]
    _check_ascending((*location, "curvature", "batch_sizes"), batch_sizes)
    for index, size in enumerate(batch_sizes):
        position = (*location, "curvature", "batch_sizes", index)
        _check_at_most(position, size, examples, "training examples")
    if "noise" in run:
        _check_noise((*location, "noise"), run["noise"])


def _check_noise(location: Location, noise: dict[str, Any]) -> None:
    sizes, chosen = noise["batch_sizes"], noise["spectrum_batch_size"]
    _check_ascending((*location, "batch_sizes"), sizes)
    if chosen not in sizes:
        what = f"one of noise.batch_sizes: {listed(sizes)}"
        refuse((*location, "spectrum_batch_size"), f"is {chosen}, but must be {what}")


def _check_at_most(location: Location, value: int, most: int, what: str) -> None:
    if value > most:
        refuse(location, f"is {value}, but must be at most {most}, the number of {what}")


def _check_ascending(location: Location, values: Sequence[int]) -> None:
    for index in range(1, len(values)):
        if values[index] < values[index - 1]:
            refuse(
                (*location, index),
                f"is {values[index]} after {values[index - 1]}, but the list must be ascending",
            )


def _training_examples(location: Location, dataset: dict[str, Any], runs: dict[str, Any]) -> int:
    """The number of examples trained on, once sizes and the keys of the kind are found right."""
    name, held_out = dataset["name"], dataset["held_out"]
    for key in _NEEDED_KEYS.get(name, []):
        if key not in dataset:
            must = allowed(load_schema()["$defs"]["dataset"]["properties"][key])
            problem = f"is missing; the data set {name} needs it, and it must be {must}"
            refuse((*location, key), problem)
    for kind, keys in _OWN_KEYS.items():
        for key in keys:
            if key in dataset and kind != name:
                refuse(
                    (*location, key),
                    f"is {shown(dataset[key])}, but must be left out: it belongs to the data set "
                    f"{kind}, and this one is {name}",
                )
    if held_out and "test_examples" in dataset:
        refuse(
            (*location, "test_examples"),
            f"is {dataset['test_examples']}, but must be left out: the {held_out} examples of "
            "held_out replace the test split",
        )
    for split in ("train", "test"):
        key = f"{split}_examples"
        if key in dataset and name != "synthetic":
            most = _split_size(location, dataset, split, runs)
            _check_at_most((*location, key), dataset[key], most, f"examples in its {split} split")
    used = dataset.get("train_examples") or _split_size(location, dataset, "train", runs)
    if held_out >= used:
        refuse(
            (*location, "held_out"),
            f"is {held_out}, but must be below {used}, the number of training examples before any "
            "are held out",
        )
    return used - held_out


def _split_size(
    location: Location, dataset: dict[str, Any], split: str, runs: dict[str, Any]
) -> int:
    """Examples in a split; of an npz file by its array's header alone."""
    if known := KNOWN.get(dataset["name"]):
        return known.train_examples if split == "train" else known.test_examples
    if dataset["name"] == IMAGENET:
        return IMAGENET_SIZES[0 if split == "train" else 1]
    if dataset["name"] == "embeddings":
        return _split_size_of_features(location, dataset, split, runs)

    location, path, array = (*location, "path"), dataset["path"], f"{split}_inputs"
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{array}.npy") as file:
            first = np.lib.format.read_magic(file) == (1, 0)
            read_header = (
                np.lib.format.read_array_header_1_0
                if first
                else np.lib.format.read_array_header_2_0
            )
            shape, _, _ = read_header(file)
    except FileNotFoundError:
        problem = "but there is no such file; give its path from the working directory"
    except KeyError:
        problem = f"but that file has no array {array}; save it with numpy.savez({array}=..., ...)"
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, ValueError):
        problem = "but that file cannot be read as the .npz archive that numpy.savez writes"
    else:
        if shape and shape[0] > 0:
            return int(shape[0])
        problem = f"but its array {array} holds no examples"
    refuse(location, f"is {shown(path)}, {problem}")


def _split_size_of_features(
    location: Location, dataset: dict[str, Any], split: str, runs: dict[str, Any]
) -> int:
    """The examples that the run behind the features trains on, or is tested on."""
    name = dataset["run"]
    others = [other for other, run in runs.items() if run["dataset"]["name"] != "embeddings"]
    if name not in others:
        refuse((*location, "run"), choice(name, others, "a run on data other than embeddings"))
    _check_checkpoint((*location, "epoch"), dataset["epoch"], name, runs)
    of_run: dict[str, Any] = runs[name]["dataset"]
    place: Location = ("runs", name, "dataset")
    if split == "train":
        return _training_examples(place, of_run, runs)
    return (
        of_run["held_out"]
        or of_run.get("test_examples")
        or _split_size(place, of_run, "test", runs)
    )


def _check_network(location: Location, network: dict[str, Any]) -> None:
    """A network of the library, whose arguments get their defaults, or the user's own builder."""
    name = network["name"]
    if name in BUILDERS:
        schema = load_schema()["$defs"][f"{name}_arguments"]
        check_schema((*location, "arguments"), network["arguments"], schema)
        network["arguments"] = filled(network["arguments"], schema)
        return
    location = (*location, "name")
    module, colon, function = name.partition(":")
    parts = [*module.split("."), function]
    if not colon or not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        what = "the import path package.module:function of your own builder, or one of"
        refuse(location, choice(name, list(BUILDERS), what))
    spec = module_spec(module)
    if spec is None:
        refuse(
            location,
            f"is {shown(name)}, but there is no module {module} in the working directory or among "
            "the installed packages; mend the name or put it there",
        )
    names = _names(location, spec)
    if names is not None and function not in names:
        refuse(
            location,
            f"is {shown(name)}, but {spec.origin} defines no {function}"
            f"{suggestion(function, names)}; its names are: {listed(names) or 'none'}",
        )


def _names(location: Location, spec: importlib.machinery.ModuleSpec) -> list[str] | None:
    """Names that a user's module binds; None where its source does not tell."""
    try:
        return module_names(spec)
    except (SyntaxError, ValueError, OSError) as error:
        line = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
        problem = f"names the module {spec.name}, but {spec.origin} is not valid Python{line}"
        refuse(location, problem)


def _check_figures(figures: dict[str, Any], runs: dict[str, Any]) -> None:
    """Every run, epoch and outlier that a figure names exists, and each such run can be fitted."""
    for paper, figures_of_paper in figures.items():
        for figure, settings in figures_of_paper.items():
            location: Location = ("figures", paper, figure)
            for index, run in enumerate(settings.get("runs", [])):
                _check_shown_run((*location, "runs", index), run, runs)
            for index, row in enumerate(settings.get("rows", [])):
                _check_row((*location, "rows", index), row, runs)
                most = runs[row["run"]]["curvature"]["outliers"]
                for column, outlier in enumerate(settings.get("outliers", [])):
                    what = f"outliers of {row['run']} (curvature.outliers)"
                    _check_at_most((*location, "outliers", column), outlier, most, what)
            for key in ("rows", "noise"):
                shows_noise = key == "noise" or (paper, figure) in _FIGURES_OF_NOISE
                for index, row in enumerate(settings.get(key, []) if shows_noise else []):
                    _check_row((*location, key, index), row, runs)
                    if "noise" not in runs[row["run"]]:
                        where = (*location, key, index, "run")
                        refuse(where, f"is {row['run']}, but that run has no noise settings")


def _check_figures_of_families(figures: dict[str, Any], families: dict[str, Any]) -> None:
    """The families and arms that figures 7, 8 and X3 of `applicability` name can be shown."""
    for figure in ("fig7", "fig8", "figX3"):
        settings, location = figures.get(figure, {}), ("figures", "applicability", figure)
        family = settings.get("family")
        if family is None:
            continue
        if family not in families:
            refuse((*location, "family"), choice(family, list(families), "one of the families"))
        arms = families[family].get("arms", {})
        named = {key: settings[key] for key in ("reference", "averaged") if key in settings}
        named |= {f"arms[{i}]": arm for i, arm in enumerate(settings.get("arms", []))}
        for key, arm in named.items():
            if arm not in arms:
                refuse((*location, key), choice(arm, list(arms), f"one of the arms of {family}"))
    _check_average(figures.get("fig7"), families)
    if "fig8" in figures:
        family = figures["fig8"]["family"]
        budgets = families[family].get("budgets", [])
        _check_ascending(("families", family, "budgets"), budgets)
        if len(budgets) < 6:
            problem = f"has length {len(budgets)}, but fits of three parameters need 6 or more"
            refuse(("families", family, "budgets"), problem)
    if "figX3" in figures:
        _check_theorems(("figures", "applicability", "figX3"), figures["figX3"], families)


def _check_average(figure: dict[str, Any] | None, families: dict[str, Any]) -> None:
    """The averaged arm of figure 7 has an average, and the replicates give an interval."""
    if figure is None:
        return
    family = families[figure["family"]]
    place: Location = ("families", figure["family"])
    training = family["run"]["training"] | family["arms"][figure["averaged"]]
    first, epochs = training.get("average_from"), training["epochs"]
    location = (*place, "arms", figure["averaged"], "average_from")
    if first is None:
        refuse(location, "is missing, but figures.applicability.fig7 shows this arm's tail average")
    _check_at_most(location, first, epochs, "epochs of the training")
    reference = family["run"]["training"] | family["arms"][figure["reference"]]
    if reference["epochs"] != epochs:
        problem = f"is {reference['epochs']}, but both arms of fig7 must have {epochs} epochs"
        refuse((*place, "arms", figure["reference"], "epochs"), problem)
    if family["replicates"] < 2:
        refuse((*place, "replicates"), "is 1, but differences of fig7 need 2 or more for intervals")


def _check_theorems(location: Location, figure: dict[str, Any], families: dict[str, Any]) -> None:
    family = families[figure["family"]]
    for key in ("steps", "learning_rates"):
        _check_ascending((*location, key), figure[key])
    if figure["examples"] < 8 * figure["block"]:
        problem = f"is {figure['block']}, but must be at most {figure['examples'] // 8}: 8 blocks"
        refuse((*location, "block"), f"{problem} or more for an interval")
    if len(family["run"]["checkpoints"]) < 3:
        refuse(
            ("families", figure["family"], "run", "checkpoints"),
            "has fewer than 3 epochs, but figX3 needs two iterates or more after the first",
        )


def _check_row(location: Location, row: dict[str, Any], runs: dict[str, Any]) -> None:
    _check_shown_run((*location, "run"), row["run"], runs)
    _check_checkpoint((*location, "epoch"), row["epoch"], row["run"], runs)
    sample = row.get("sample", "full")
    sets = [f"augmented-{each['copies']:03d}" for each in runs[row["run"]]["density"]["augmented"]]
    if sample.startswith("augmented") and sample not in sets:
        what = f"one of the augmented sets of {row['run']} (density.augmented)"
        refuse((*location, "sample"), f"is {sample}, but must be {what}: {listed(sets) or 'none'}")


def _check_checkpoint(location: Location, epoch: int, run: str, runs: dict[str, Any]) -> None:
    checkpoints = runs[run]["checkpoints"]
    if epoch not in checkpoints:
        what = f"one of the checkpoints of {run}"
        refuse(location, f"is {epoch}, but must be {what}: {listed(checkpoints)}")


def _check_shown_run(location: Location, name: str, runs: dict[str, Any]) -> None:
    if name not in runs:
        refuse(location, choice(name, list(runs), "one of the runs"))
    curvature = runs[name]["curvature"]
    sizes, outliers = len(curvature["batch_sizes"]), curvature["outliers"]
    least = -(-(outliers + 4) // outliers)
    if sizes < least:
        refuse(
            ("runs", name, "curvature", "batch_sizes"),
            f"has length {sizes}, but a run shown in a figure needs at least {least}: batch sizes "
            f"times outliers ({outliers}) may not be below the fit's {outliers + 4} parameters",
        )
