"""The configuration: what is accepted, and one sentence for everything else."""

import copy
import datetime
import json
import math
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from jsonschema import Draft202012Validator
from snakemake.utils import update_config

from hessian_rmt.config import check_config, run_settings
from hessian_rmt.config_schema import SCHEMA
from hessian_rmt.data.catalogue import KNOWN
from hessian_rmt.errors import UserError
from hessian_rmt.networks import BUILDERS

ROOT = Path(__file__).parents[1]
SCALES = ["laptop", "smoke", "paper"]
RUN = "runs.mlp_mnist"


def merged(scale: str) -> dict[str, Any]:
    """config.yaml with the overlay of a scale, as Snakemake merges them."""
    config: dict[str, Any] = {}  # into which mappings that share an anchor are copied
    update_config(config, yaml.safe_load((ROOT / "config.yaml").read_text()))
    if scale != "laptop":
        update_config(config, yaml.safe_load((ROOT / f"workflow/scales/{scale}.yaml").read_text()))
    return config


def put(config: Any, path: str, value: Any) -> None:
    """Set what `path` (keys and list positions, divided by dots) names."""
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        config = config[part]
    config[last] = value


def drop(config: Any, path: str) -> None:
    parent, _, last = path.rpartition(".")
    for part in parent.split(".") if parent else []:
        config = config[part]
    del config[last]


def sentence(config: Any) -> str:
    """The message with which `config` is refused: one line, naming the configuration."""
    with pytest.raises(UserError) as caught:
        check_config(config)
    message = str(caught.value)
    assert message.isprintable()
    assert message.startswith("config: ")
    assert len(message) < 500
    return message


@pytest.mark.parametrize("scale", SCALES)
def test_scales_are_valid_and_defaults_are_filled(scale: str) -> None:
    config = merged(scale)
    before = copy.deepcopy(config)
    checked = check_config(config)
    assert config == before, "the given configuration is left alone"
    assert checked["scale"] == scale
    run = checked["runs"]["mlp_mnist"]
    assert run["dataset"]["standardise"] is True
    assert run["training"]["augmentation"] == "none"
    assert run["training"]["loss"] == "cross_entropy"
    assert run["curvature"]["precision"] == "float32"
    memory_mb = config["runs"]["mlp_mnist"]["compute"]["memory_mb"]
    assert run["compute"] == {"threads": 1, "memory_mb": memory_mb, "device": "auto"}
    assert run["network"]["arguments"] == {"hidden": [10, 100], "activation": "relu", "bias": True}
    assert check_config(checked) == checked, "a checked configuration is valid itself"


def test_whole_mappings_are_filled_and_copies_are_separate() -> None:
    config = merged("laptop")
    del config["outlier_fits"], config["runs"]["mlp_mnist"]["compute"]
    config["runs"]["second"] = copy.deepcopy(config["runs"]["mlp_mnist"])
    checked = check_config(config)
    assert checked["outlier_fits"] == {"method": "variable_projection", "bootstrap": 500}
    first, second = checked["runs"]["mlp_mnist"]["compute"], checked["runs"]["second"]["compute"]
    assert first == second
    assert first is not second
    first["threads"] = 7
    assert check_config(config)["runs"]["mlp_mnist"]["compute"]["threads"] == 1


def test_equal_settings_are_equal_params() -> None:
    config, same = merged("laptop"), merged("laptop")
    training = same["runs"]["mlp_mnist"]["training"]
    same["runs"]["mlp_mnist"]["training"] = dict(reversed(training.items()))
    config["runs"]["mlp_mnist"]["training"]["momentum"] = 0.0
    same["runs"]["mlp_mnist"]["training"]["momentum"] = 0
    assert repr(check_config(config)) == repr(check_config(same))


Change = Callable[[dict[str, Any]], None]


def setting(path: str, value: Any) -> Change:
    return lambda config: put(config, path, value)


def without(path: str) -> Change:
    return lambda config: drop(config, path)


def both(*changes: Change) -> Change:
    def change(config: dict[str, Any]) -> None:
        for one in changes:
            one(config)

    return change


SYNTHETIC = {"name": "synthetic", "shape": [4], "classes": 2, "train_examples": 9000}

REFUSED = {
    # what the schema says
    "typo": (setting(f"{RUN}.curvature.sedes", 3), f"{RUN}.curvature.sedes", "did you mean seeds?"),
    "typo of a required key": (
        both(without(f"{RUN}.training.epochs"), setting(f"{RUN}.training.epoch", 3)),
        f"{RUN}.training.epoch ",
        "did you mean epochs?",
    ),
    "typo at the top": (setting("rnus", {}), "rnus", "did you mean runs?"),
    "missing": (
        without(f"{RUN}.curvature.seeds"),
        f"{RUN}.curvature.seeds",
        "integer from 1 to 100",
    ),
    "missing section": (without("runs"), "runs", "is missing"),
    "zero": (
        setting(f"{RUN}.curvature.seeds", 0),
        f"{RUN}.curvature.seeds",
        "is 0, integer from 1",
    ),
    "negative": (setting("outlier_fits.bootstrap", -1), "outlier_fits.bootstrap", "is -1"),
    "float for integer": (
        setting(f"{RUN}.curvature.seeds", 10.0),
        f"{RUN}.curvature.seeds",
        "is 10.0; write 10",
    ),
    "fraction for integer": (setting("seed", 0.5), "seed", "is 0.5, an integer"),
    "boolean for integer": (setting("seed", True), "seed", "is true, an integer"),
    "boolean for number": (
        setting(f"{RUN}.training.momentum", False),
        f"{RUN}.training.momentum",
        "is false, a number of at least 0 and below 1",
    ),
    "1e-5": (
        setting(f"{RUN}.curvature.tolerance", "1e-5"),
        f"{RUN}.curvature.tolerance",
        "is '1e-5'; YAML reads it as text; write 1.0e-5",
    ),
    "1.5e3": (
        setting(f"{RUN}.training.learning_rate", "1.5e-20"),
        f"{RUN}.training.learning_rate",
        "write 1.5e-20",
    ),
    "1e3 for integer": (setting("outlier_fits.bootstrap", "1e3"), "bootstrap", "write 1000"),
    "text for number": (setting("seed", "many"), "seed", "is 'many', an integer"),
    "yes": (setting("scale", True), "scale", "is true; put the word in quotes"),
    "no": (setting(f"{RUN}.curvature.job_per", False), "job_per", "one of; epoch; in quotes"),
    "none": (setting(f"{RUN}.training.epochs", None), f"{RUN}.training.epochs", "is empty"),
    "empty run": (setting(RUN, None), RUN, "is empty, a mapping with the keys label"),
    "nan": (
        setting(f"{RUN}.curvature.tolerance", math.nan),
        "tolerance",
        "is not a number; above 0",
    ),
    "inf": (setting(f"{RUN}.training.learning_rate", math.inf), "learning_rate", "is infinite"),
    "huge": (setting("seed", 10**5000), "seed", "an integer of more than 19 digits; below 2^63"),
    "huge for number": (setting(f"{RUN}.training.momentum", 10**400), "momentum", "19 digits"),
    "tolerance 1": (setting(f"{RUN}.curvature.tolerance", 1), "tolerance", "is 1; below 1"),
    "date": (setting("scale", datetime.date(2022, 1, 1)), "scale", "of the type date"),
    "enum": (setting(f"{RUN}.dataset.name", "mnsit"), f"{RUN}.dataset.name", "did you mean mnist?"),
    "enum far off": (
        setting(f"{RUN}.training.loss", "x"),
        "loss",
        "cross_entropy, mean_squared_error",
    ),
    "list for mapping": (setting("runs", ["mlp_mnist"]), "runs", "is a list, a mapping"),
    "mapping for list": (setting(f"{RUN}.checkpoints", {}), "checkpoints", "is an empty mapping"),
    "number for list": (
        setting(f"{RUN}.curvature.batch_sizes", 32),
        "batch_sizes",
        "is 32, a list",
    ),
    "wrong entry": (setting(f"{RUN}.checkpoints.1", "one"), f"{RUN}.checkpoints[1]", "is 'one'"),
    "empty runs": (setting("runs", {}), "runs", "is an empty mapping, 1 or more entries"),
    "empty figures": (setting("figures", {}), "figures", "is an empty mapping; universality"),
    "empty paper": (setting("figures.universality", {}), "figures.universality", "fig2"),
    "empty list": (setting(f"{RUN}.checkpoints", []), f"{RUN}.checkpoints", "is an empty list"),
    "twice": (setting(f"{RUN}.curvature.batch_sizes.1", 32), "batch_sizes", "holds 32 twice"),
    "row twice": (
        lambda config: config["figures"]["universality"]["fig2"]["rows"].append(
            {"run": "mlp_mnist", "epoch": 0}
        ),
        "figures.universality.fig2.rows",
        "an entry twice",
    ),
    "scale": (setting("scale", "My Scale"), "scale", "is 'My Scale', lower-case letters"),
    "line break": (setting("scale", "smoke\n"), "scale", "one line"),
    "run name": (lambda config: put(config, "runs.MLP", {}), "runs.MLP", "lower-case letters"),
    "key yes": (lambda config: config.update({True: 1}), "the top level", "YAML reads as true"),
    "key 1": (lambda config: config["runs"].update({1: {}}), "runs", "YAML reads as 1; quotes"),
    "key line break": (lambda config: config.update({"a\nb": 1}), "the top level", "printable"),
    "device": (
        setting(f"{RUN}.compute.device", "gpu"),
        f"{RUN}.compute.device",
        "is 'gpu'; cuda:N",
    ),
    "no such figure": (
        setting("figures.deep_learning_limit", {"fig9": {}}),
        "figures.deep_learning_limit.fig9",
        "is no known key",
    ),
    "empty paper without figures": (
        setting("figures.deep_learning_limit", {}),
        "figures.deep_learning_limit",
        "must be a mapping with the keys fig1",
    ),
    "epochs of four digits": (setting(f"{RUN}.training.epochs", 1000), "epochs", "from 0 to 999"),
    # the data set
    "embeddings of no run": (
        setting("runs.embeddings_fashion.dataset.run", "preresnet_fashon"),
        "runs.embeddings_fashion.dataset.run",
        "did you mean preresnet_fashion?; a run on data other than embeddings",
    ),
    "embeddings of embeddings": (
        setting("runs.embeddings_fashion.dataset.run", "embeddings_fashion"),
        "runs.embeddings_fashion.dataset.run",
        "is 'embeddings_fashion'; a run on data other than embeddings",
    ),
    "embeddings of no checkpoint": (
        setting("runs.embeddings_fashion.dataset.epoch", 4),
        "runs.embeddings_fashion.dataset.epoch",
        "is 4, one of the checkpoints of preresnet_fashion: 0, 5",
    ),
    "embeddings without an epoch": (
        lambda config: config["runs"]["embeddings_fashion"]["dataset"].pop("epoch"),
        "runs.embeddings_fashion.dataset.epoch",
        "is missing; the data set embeddings needs it",
    ),
    "more examples than are embedded": (
        setting("runs.embeddings_fashion.dataset.train_examples", 6001),
        "runs.embeddings_fashion.dataset.train_examples",
        "is 6001, at most 6000",
    ),
    "batch beyond the split": (
        setting(f"{RUN}.dataset.train_examples", 4000),
        f"{RUN}.curvature.batch_sizes[7]",
        "is 4096, at most 4000; training examples",
    ),
    "batch beyond what is not held out": (
        setting(f"{RUN}.dataset.held_out", 56000),
        f"{RUN}.curvature.batch_sizes[7]",
        "is 4096, at most 4000",
    ),
    "training batch": (
        setting(f"{RUN}.training.batch_size", 60001),
        f"{RUN}.training.batch_size",
        "at most 60000",
    ),
    "train_examples": (
        setting(f"{RUN}.dataset.train_examples", 60001),
        f"{RUN}.dataset.train_examples",
        "at most 60000",
    ),
    "test_examples": (
        setting(f"{RUN}.dataset.test_examples", 10001),
        f"{RUN}.dataset.test_examples",
        "at most 10000",
    ),
    "held_out": (
        setting(f"{RUN}.dataset.held_out", 60000),
        f"{RUN}.dataset.held_out",
        "is 60000, below 60000",
    ),
    "held_out and test_examples": (
        both(setting(f"{RUN}.dataset.held_out", 5), setting(f"{RUN}.dataset.test_examples", 5)),
        f"{RUN}.dataset.test_examples",
        "left out; held_out",
    ),
    "path without npz": (
        setting(f"{RUN}.dataset.path", "x.npz"),
        f"{RUN}.dataset.path",
        "left out; belongs to the data set npz",
    ),
    "shape without synthetic": (
        setting(f"{RUN}.dataset.shape", [3]),
        f"{RUN}.dataset.shape",
        "is a list, left out; synthetic",
    ),
    "npz without path": (
        setting(f"{RUN}.dataset", {"name": "npz"}),
        f"{RUN}.dataset.path",
        "is missing",
    ),
    "npz that is not there": (
        setting(f"{RUN}.dataset", {"name": "npz", "path": "no/such.npz"}),
        f"{RUN}.dataset.path",
        "'no/such.npz'; no such file",
    ),
    "synthetic without classes": (
        setting(f"{RUN}.dataset", {"name": "synthetic", "shape": [3]}),
        f"{RUN}.dataset.classes",
        "is missing, an integer from 2",
    ),
    "synthetic too small": (
        setting(f"{RUN}.dataset", SYNTHETIC | {"train_examples": 10}),
        f"{RUN}.training.batch_size",
        "at most 10",
    ),
    # checkpoints and curvature
    "checkpoint after the end": (
        setting(f"{RUN}.training.epochs", 9),
        f"{RUN}.checkpoints[5]",
        "is 10, at most 9",
    ),
    "checkpoints not ascending": (
        setting(f"{RUN}.checkpoints", [0, 3, 2]),
        f"{RUN}.checkpoints[2]",
        "is 2 after 3, ascending",
    ),
    "no checkpoint 0": (
        setting(f"{RUN}.checkpoints", [1, 2]),
        f"{RUN}.checkpoints[0]",
        "must be 0",
    ),
    "batch sizes not ascending": (
        setting(f"{RUN}.curvature.batch_sizes", [64, 32]),
        f"{RUN}.curvature.batch_sizes[1]",
        "is 32 after 64",
    ),
    "too little to fit": (
        setting(f"{RUN}.curvature.batch_sizes", [32]),
        f"{RUN}.curvature.batch_sizes",
        "has length 1, at least 2; 9 parameters",
    ),
    # the network
    "unknown network": (
        setting(f"{RUN}.network.name", "mpl"),
        f"{RUN}.network.name",
        "is 'mpl', did you mean mlp?; package.module:function",
    ),
    "no import path": (
        setting(f"{RUN}.network.name", "a b:c"),
        f"{RUN}.network.name",
        "is 'a b:c'",
    ),
    "missing module": (
        setting(f"{RUN}.network.name", "no_such_package.networks:build"),
        f"{RUN}.network.name",
        "no module no_such_package.networks",
    ),
    "missing function": (
        setting(f"{RUN}.network.name", "hessian_rmt.networks.mlp:mpl"),
        f"{RUN}.network.name",
        "defines no mpl, did you mean mlp?",
    ),
    "unknown argument": (
        setting(f"{RUN}.network.arguments.hiden", [10]),
        f"{RUN}.network.arguments.hiden",
        "did you mean hidden?; known are hidden, activation, bias",
    ),
    "no hidden": (
        without(f"{RUN}.network.arguments"),
        f"{RUN}.network.arguments.hidden",
        "is missing, a list",
    ),
    "width 0": (
        setting(f"{RUN}.network.arguments.hidden.1", 0),
        f"{RUN}.network.arguments.hidden[1]",
        "is 0, from 1",
    ),
    "activation": (
        setting(f"{RUN}.network.arguments.activation", "Tanh"),
        f"{RUN}.network.arguments.activation",
        "did you mean tanh?; one of: relu, tanh",
    ),
    "argument that is no JSON": (
        setting(f"{RUN}.network.arguments.hidden", {1, 2}),
        f"{RUN}.network.arguments.hidden",
        "of the type set",
    ),
    # the figures
    "figure's run": (
        setting("figures.universality.fig3.runs.0", "mlp_minst"),
        "figures.universality.fig3.runs[0]",
        "is 'mlp_minst', did you mean mlp_mnist?; one of the runs: mlp_mnist",
    ),
    "row's run": (
        setting("figures.universality.fig2.rows.1.run", "vgg16"),
        "figures.universality.fig2.rows[1].run",
        "is 'vgg16'; one of the runs",
    ),
    "row's epoch": (
        setting("figures.universality.fig2.rows.0.epoch", 11),
        "figures.universality.fig2.rows[0].epoch",
        "is 11; one of the checkpoints of vgg_fashion: 0, 1, 6, 12",
    ),
    "row's augmented set": (
        setting("figures.deep_learning_limit.fig4.rows.0.sample", "augmented-007"),
        "figures.deep_learning_limit.fig4.rows[0].sample",
        "is augmented-007; one of the augmented sets of preresnet_augmented; augmented-010",
    ),
    "figure's outlier": (
        setting("figures.universality.fig2.outliers.2", 6),
        "figures.universality.fig2.outliers[2]",
        "is 6, at most 5; curvature.outliers",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_sentence_that_names_the_key(name: str) -> None:
    change, path, words = REFUSED[name]
    config = merged("laptop")
    change(config)
    message = sentence(config)
    assert path in message
    for word in words.replace("; ", ", ").split(", "):
        assert word in message, message


@pytest.mark.parametrize("config", [None, [], "text", 3, {}])
def test_no_mapping_at_the_top(config: Any) -> None:
    assert sentence(config)


def test_endless_nesting() -> None:
    config = merged("laptop")
    arguments = config["runs"]["mlp_mnist"]["network"]["arguments"]
    arguments["self"] = arguments
    assert "nested too deeply" in sentence(config)


def test_the_end_of_a_range_is_allowed() -> None:
    config = merged("laptop")
    put(config, f"{RUN}.dataset.held_out", 60000 - 8192)
    put(config, f"{RUN}.training.momentum", 0)
    put(config, f"{RUN}.training.epochs", 999)
    put(config, f"{RUN}.network.arguments.hidden", [])
    put(config, f"{RUN}.curvature.batch_sizes", [1, 8192])
    assert check_config(config)


def test_synthetic_data() -> None:
    config = merged("laptop")
    put(config, f"{RUN}.dataset", SYNTHETIC)
    assert check_config(config)


def test_npz_sizes_are_read_from_headers(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    config = merged("laptop")
    put(config, f"{RUN}.dataset", {"name": "npz", "path": str(path)})
    np.savez(path, train_inputs=np.zeros((9000, 2), np.uint8), test_inputs=np.zeros((5, 2)))
    assert check_config(config)
    put(config, f"{RUN}.dataset.test_examples", 6)
    assert "test_examples is 6, but must be at most 5" in sentence(config)
    drop(config, f"{RUN}.dataset.test_examples")

    np.savez(path, train_inputs=np.zeros((4000, 2), np.uint8))
    assert "is 4096, but must be at most 4000" in sentence(config)
    np.savez(path, inputs=np.zeros(3))
    assert "has no array train_inputs" in sentence(config)
    np.savez(path, train_inputs=np.zeros(()))
    assert "holds no examples" in sentence(config)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train_inputs.npy", b"not an array")
    assert "cannot be read" in sentence(config)
    for content in (b"", b"PK\x03\x04 and no more"):
        path.write_bytes(content)
        assert "cannot be read" in sentence(config)


def test_import_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "own_networks"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "small.py").write_text(
        "import torch\n"
        "from elsewhere import borrowed as lent\n"
        "def build(input_shape, classes, width=3):\n    inner = 1\n"
        "if torch:\n    class Net: pass\n"
        "partial = other = (lambda hidden_name: hidden_name)\n"
    )
    (package / "broken.py").write_text("def build(:\n")
    (package / "lazy.py").write_text("from elsewhere import *\n")
    (package / "bare").mkdir()
    monkeypatch.syspath_prepend(tmp_path)

    def named(name: str) -> dict[str, Any]:
        config = merged("laptop")
        put(config, f"{RUN}.network", {"name": name, "arguments": {"width": [3, {"a": None}]}})
        return config

    for function in ("build", "Net", "partial", "other", "lent"):
        checked = check_config(named(f"own_networks.small:{function}"))
        assert checked["runs"]["mlp_mnist"]["network"]["arguments"] == {"width": [3, {"a": None}]}
    assert check_config(named("own_networks.lazy:anything"))
    for function in ("inner", "hidden_name", "borrowed", "biuld"):
        message = sentence(named(f"own_networks.small:{function}"))
        assert f"{RUN}.network.name" in message
        assert f"small.py defines no {function}" in message
    assert "did you mean build?" in sentence(named("own_networks.small:biuld"))
    assert "not valid Python (line 1)" in sentence(named("own_networks.broken:build"))
    for module in ("own_networks.large", "own_networks.small.more", "own_networks.bare"):
        assert f"no module {module}" in sentence(named(f"{module}:build"))
    (package / "bare" / "deep.py").write_text("build = None\n")
    assert check_config(named("own_networks.bare.deep:build"))
    assert not any(module.startswith("own_networks") for module in sys.modules)

    config = named("own_networks.small:build")
    put(config, f"{RUN}.network.arguments.width", math.nan)
    assert f"{RUN}.network.arguments.width is not a number" in sentence(config)


def test_run_settings() -> None:
    config = check_config(merged("smoke"))
    settings = run_settings(config, "mlp_mnist", "dataset", "checkpoints")
    assert settings == {
        "dataset": config["runs"]["mlp_mnist"]["dataset"],
        "checkpoints": [0, 1, 2],
        "seed": 2022,
    }
    with pytest.raises(UserError, match="did you mean mlp_mnist"):
        run_settings(config, "mlp_minst", "dataset")


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a configuration, the top level left out."""
    pairs: Any = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    for key, item in pairs:
        yield (*place, key)
        yield from places(item, (*place, key))


@pytest.mark.slow
def test_random_mutations_end_in_one_sentence_or_a_valid_configuration() -> None:
    rng = random.Random(2022)
    values = [
        *(None, True, False, 0, 1, -1, 3.0, 0.5, 10**30, 10**5000, math.nan, -math.inf, "", "1e-5"),
        *("none", "a\nb", "\ud800", "mlp", "a.b:c", "math:sqrt", ":", "é" * 300, [], [None], [[]]),
        *(
            [0, 0],
            [{}],
            {},
            {"a": {}},
            {1: 2},
            {"run": "x"},
            {1, 2},
            b"x",
            datetime.date(2022, 1, 1),
        ),
        *(
            "npz",
            "synthetic",
            "cifar10",
            "x.npz",
            (1, 2),
            object(),
            2**63,
            {None: None},
            [math.nan],
        ),
    ]
    keys = ["seed", "path", "shape", "classes", "extra", "", "held_out", "run", 1, None, True]
    valid = [merged(scale) for scale in SCALES]
    refused = 0
    for _ in range(2000):
        config = copy.deepcopy(rng.choice(valid))
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            *parents, last = rng.choice(list(places(config)) or [("scale",)])
            target = config
            for part in parents:
                target = target[part]
            action = rng.randrange(4)
            if action == 0:
                target[last] = copy.copy(rng.choice(values))
            elif action == 1 and last in (
                target if isinstance(target, dict) else range(len(target))
            ):
                del target[last]
            elif isinstance(target, dict):
                target[rng.choice(keys)] = copy.copy(rng.choice(values))
            else:
                target.append(copy.copy(rng.choice([*values, *target])))
        try:
            check_config(config)
            continue
        except UserError as error:
            message = str(error)
        refused += 1
        assert message.isprintable(), repr(message)
        assert 20 < len(message) < 500, message
    assert 1000 < refused < 2000


def subschemas(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    for item in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(item, dict | list):
            yield from subschemas(item)


def test_schema_is_valid_closed_and_described() -> None:
    schema = yaml.safe_load(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    free = [
        schema["$defs"]["run"]["properties"]["network"]["properties"]["arguments"],
        schema["$defs"]["plain"],
        *schema["$defs"]["family"]["properties"]["arms"]["patternProperties"].values(),
    ]
    for part in subschemas(schema):
        if part.get("type") == "object" and part not in free:
            assert part["additionalProperties"] is False, part
        properties = part.get("properties", {})
        assert isinstance(properties, dict)
        for key, below in properties.items():
            assert below["description"].endswith("."), key


def test_every_keyword_of_the_schema_is_one_that_is_worded() -> None:
    worded = {
        *("type", "enum", "pattern", "patternErrorMessage", "minimum", "maximum", "items", "$ref"),
        *(
            "exclusiveMinimum",
            "exclusiveMaximum",
            "minItems",
            "maxItems",
            "uniqueItems",
            "required",
        ),
        *("properties", "additionalProperties", "patternProperties", "minProperties"),
        *("$schema", "$defs", "title", "description", "default"),
    }
    used: set[str] = set()

    def collect(schema: dict[str, Any]) -> None:
        used.update(schema)
        for name in ("properties", "patternProperties", "$defs"):
            for below in schema.get(name, {}).values():
                collect(below)
        for name in ("items", "additionalProperties"):
            if isinstance(schema.get(name), dict):
                collect(schema[name])

    collect(yaml.safe_load(SCHEMA.read_text()))
    assert used <= worded


def test_schema_knows_the_data_sets_and_networks() -> None:
    schema = yaml.safe_load(SCHEMA.read_text())
    names = schema["$defs"]["dataset"]["properties"]["name"]["enum"]
    assert set(names) == {*KNOWN, "imagenet", "npz", "embeddings", "synthetic"}
    assert {f"{name}_arguments" for name in BUILDERS} <= set(schema["$defs"])


def test_starts_quickly_and_without_torch() -> None:
    code = (
        "import json, sys; from hessian_rmt.config import check_config;"
        f"check_config(json.loads({json.dumps(merged('laptop'))!r}));"
        "print([m for m in ('torch', 'matplotlib', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
