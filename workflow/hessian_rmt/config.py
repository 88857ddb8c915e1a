"""The configuration: checked when Snakemake starts, before anything is computed.

`workflow/schemas/config.schema.yaml` states what each key may hold; what a schema cannot say (a
figure's run must be defined, a batch must fit in the training split, ...) follows here. Each error
is one sentence: the key's dotted path, what is wrong with its value, what it may be.
"""

import ast
import difflib
import importlib.machinery
import importlib.util
import keyword
import math
import pkgutil
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from hessian_rmt.errors import UserError
from hessian_rmt.networks import BUILDERS

SCHEMA = Path(__file__).parents[1] / "schemas" / "config.schema.yaml"

# Examples in the training and test splits of the public data sets.
_SPLITS = {
    "mnist": (60000, 10000),
    "fashion_mnist": (60000, 10000),
    "cifar10": (50000, 10000),
    "cifar100": (50000, 10000),
}
# Keys that belong to one kind of data set alone, and keys that a kind cannot do without.
_OWN_KEYS = {"npz": ["path"], "synthetic": ["shape", "classes", "seed"]}
_NEEDED_KEYS = {"npz": ["path"], "synthetic": ["shape", "classes", "train_examples"]}


def check_config(config: dict[str, Any]) -> dict[str, Any]:
    """A copy of the merged configuration with the schema's defaults filled in.

    The library's own networks get their arguments' defaults too. Raises UserError with one
    sentence for the first thing found wrong.
    """
    _check_text((), config)
    _check_schema((), config, _schema())
    config = _filled(config, _schema())
    for name, run in config["runs"].items():
        _check_run(("runs", name), run)
    _check_figures(config["figures"], config["runs"])
    return config


def run_settings(config: Mapping[str, Any], run: str, *parts: str) -> dict[str, Any]:
    """The named parts of a run's settings and the master seed: params of a rule, plain JSON types.

    ``run_settings(config, "mlp_mnist", "dataset", "training")`` gives the keys `dataset`,
    `training` and `seed`. Raises UserError when there is no such run.
    """
    if run not in config["runs"]:
        raise UserError(f"no run is named {_shown(run)}{_suggestion(run, config['runs'])}")
    return {part: config["runs"][run][part] for part in parts} | {"seed": config["seed"]}


# Sentences ---------------------------------------------------------------------------------------

Location = tuple[str | int, ...]


def _refuse(location: Location, problem: str) -> NoReturn:
    dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    raise UserError(f"config: {dotted.removeprefix('.') or 'the top level'} {problem}")


def _shown(value: object) -> str:
    """A value as the user knows it from YAML, in one short line."""
    match value:
        case None:
            return "empty"
        case bool():
            return str(value).lower()
        case int() if value.bit_length() > 64:  # printing it may be refused by Python itself
            return "an integer of more than 19 digits"
        case float() if not math.isfinite(value):
            return "not a number" if math.isnan(value) else "infinite"
        case int() | float():
            return repr(value)
        case str():
            return repr(value if len(value) <= 60 else value[:57] + "...")
        case list():
            return "a list" if value else "an empty list"
        case dict():
            return "a mapping" if value else "an empty mapping"
    return f"of the type {type(value).__name__}"


def _listed(words: Iterable[object]) -> str:
    shown = [str(word) for word in words]
    return ", ".join(shown if len(shown) <= 30 else [*shown[:29], "..."])


def _suggestion(word: object, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(word).lower(), list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _choice(value: object, known: Sequence[str], what: str) -> str:
    return f"is {_shown(value)}{_suggestion(value, known)}, but must be {what}: {_listed(known)}"


# What the schema says ----------------------------------------------------------------------------


@cache
def _schema() -> dict[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast
    schema = yaml.load(SCHEMA.read_text(encoding="utf-8"), loader)
    del schema["$schema"]  # or jsonschema takes the draft's own class in place of `_validator`'s
    return schema


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return _schema()["$defs"][reference.removeprefix("#/$defs/")] if reference else schema


@cache
def _validator() -> Any:
    """Draft 2020-12 with strict numbers: 10.0 is no integer, NaN and infinity are no numbers.

    Integers are those of 64 bits, which numpy, torch and HDF5 take.
    """
    from jsonschema import Draft202012Validator, validators

    def is_integer(_: object, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63

    def is_number(checker: object, value: object) -> bool:
        return is_integer(checker, value) or (isinstance(value, float) and math.isfinite(value))

    checker = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": is_integer, "number": is_number}
    )
    return validators.extend(Draft202012Validator, type_checker=checker)(_schema())


def _check_text(location: Location, value: object) -> None:
    """What jsonschema would stumble over: keys that are no text, huge integers, endless nesting."""
    if len(location) > 20:
        _refuse(location[:3], "is nested too deeply: more than 20 levels")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                _refuse(
                    location,
                    f"has a key that YAML reads as {_shown(key)}, but keys must be text: "
                    "put it in quotes, or give it another name",
                )
            if not key.isprintable():
                _refuse(location, f"has the key {_shown(key)}, but keys must be printable text")
            _check_text((*location, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_text((*location, index), item)
    elif isinstance(value, str) and not value.isprintable():
        _refuse(location, f"is {_shown(value)}, but must be one line of printable text")
    elif isinstance(value, int) and value.bit_length() > 64:  # jsonschema would try to print it
        _refuse(location, f"is {_shown(value)}, but must be below 2^63, as all numbers here")


def _check_schema(location: Location, value: object, schema: dict[str, Any]) -> None:
    from jsonschema.exceptions import best_match, by_relevance

    # a misspelt key is also a missing one: the misspelling is the better news
    relevance = by_relevance(strong={"additionalProperties"})
    error = best_match(_validator().evolve(schema=schema).iter_errors(value), key=relevance)
    if error is not None:
        _refuse_schema_error((*location, *error.absolute_path), error)


def _refuse_schema_error(location: Location, error: Any) -> NoReturn:
    """Word a jsonschema error by the keyword that failed."""
    value, schema = error.instance, error.schema
    match error.validator:
        case "additionalProperties":
            known = list(schema.get("properties", {}))
            unknown = next(key for key in value if _schema_of(key, schema) is None)
            if "patternProperties" in schema:
                problem = f"is named {_shown(unknown)}, but must have {_allowed_text(schema)}"
            elif known:
                problem = (
                    f"is no known key{_suggestion(unknown, known)}, known are {_listed(known)}"
                )
            else:
                problem = "is no known key, and none is known there yet"
            _refuse((*location, unknown), problem)
        case "required":
            missing = next(key for key in schema["required"] if key not in value)
            allowed = _allowed(schema["properties"][missing])
            _refuse((*location, missing), f"is missing; it must be {allowed}")
        case "uniqueItems":
            twice = next(item for index, item in enumerate(value) if item in value[:index])
            shown = _shown(twice) if not isinstance(twice, dict | list) else "an entry"
            _refuse(location, f"holds {shown} twice, but its entries must be distinct")
        case "enum" if isinstance(value, str):
            _refuse(location, _choice(value, schema["enum"], "one of"))
    _refuse(location, f"is {_shown(value)}, but must be {_allowed(schema)}{_hint(value, schema)}")


def _schema_of(key: str, schema: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of a mapping's entry; None where the schema names no such key."""
    if key in schema.get("properties", {}):
        return schema["properties"][key]
    patterns = schema.get("patternProperties", {})
    return next((patterns[pattern] for pattern in patterns if re.search(pattern, key)), None)


def _allowed_text(schema: dict[str, Any]) -> str:
    return schema.get("patternErrorMessage", "text")


def _allowed(schema: dict[str, Any]) -> str:
    """What a schema allows, in words."""
    schema = _resolved(schema)
    if "enum" in schema:
        return f"one of: {_listed(schema['enum'])}"
    match schema["type"]:
        case "integer":
            return f"an integer {_range(schema)}".rstrip()
        case "number":
            return f"a number {_range(schema)}".rstrip()
        case "string":
            return _allowed_text(schema)
        case "boolean":
            return "true or false"
        case "array":
            most = f" and at most {schema['maxItems']}" if "maxItems" in schema else ""
            least = f" of at least {schema['minItems']}{most}" if "minItems" in schema else ""
            return f"a list{least}, each entry {_allowed(schema['items'])}"
        case "object":
            if "patternProperties" in schema:
                return f"a mapping of at least one name, {_allowed_text(schema)}, to its settings"
            if "properties" in schema:
                return f"a mapping with the keys {_listed(schema['properties'])}"
            return "left out" if "minProperties" in schema else "a mapping"
    return "text, a finite number, true, false, empty, or a list or mapping of these"


def _range(schema: dict[str, Any]) -> str:
    if "minimum" in schema and "maximum" in schema:
        return f"from {schema['minimum']} to {schema['maximum']}"
    words = {
        "minimum": "of at least",
        "exclusiveMinimum": "above",
        "maximum": "of at most",
        "exclusiveMaximum": "below",
    }
    return " and ".join(f"{word} {schema[key]}" for key, word in words.items() if key in schema)


def _hint(value: object, schema: dict[str, Any]) -> str:
    """How to write what was probably meant, where YAML reads it as something else."""
    expected = schema.get("type")
    if expected in ("integer", "number") and isinstance(value, str | float):
        number = _yaml_number(value, integer=expected == "integer")
        if number is not None and isinstance(value, str):
            return f"; YAML reads it as text, so write {number}"
        return f"; write {number}" if number is not None else ""
    if isinstance(value, bool) and (expected == "string" or "enum" in schema):
        return "; YAML reads yes, no, on and off as true and false, so put the word in quotes"
    return ""


def _yaml_number(value: str | float, *, integer: bool) -> str | None:
    """`value` as YAML 1.1 reads a number: with a dot, and a sign in the exponent."""
    try:
        number = float(value)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    if integer:
        return str(int(number)) if number.is_integer() and abs(number) < 2**63 else None
    mantissa, _, exponent = repr(number).partition("e")
    mantissa += "" if "." in mantissa else ".0"
    return f"{mantissa}e{int(exponent):+d}" if exponent else mantissa


def _filled(value: Any, schema: dict[str, Any]) -> Any:
    """A deep copy of a valid `value` with the defaults of absent keys.

    Keys come in the schema's order and numbers as floats, so that settings which mean the same are
    the same params to Snakemake and nothing is rerun.
    """
    schema = _resolved(schema)
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        defaults = {key: of["default"] for key, of in properties.items() if "default" in of}
        items = {**defaults, **value}
        keys = [key for key in (*properties, *items) if key in items]
        return {key: _filled(items[key], _schema_of(key, schema) or {}) for key in keys}
    if isinstance(value, list):
        return [_filled(item, schema.get("items", {})) for item in value]
    return float(value) if schema.get("type") == "number" else value


# What a schema cannot say ------------------------------------------------------------------------


def _check_run(location: Location, run: dict[str, Any]) -> None:
    examples = _training_examples((*location, "dataset"), run["dataset"])
    _check_network((*location, "network"), run["network"])
    batch_size = run["training"]["batch_size"]
    _check_at_most((*location, "training", "batch_size"), batch_size, examples, "training examples")

    checkpoints, epochs = run["checkpoints"], run["training"]["epochs"]
    _check_ascending((*location, "checkpoints"), checkpoints)
    if checkpoints[0] != 0:
        _refuse(
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


def _check_at_most(location: Location, value: int, most: int, what: str) -> None:
    if value > most:
        _refuse(location, f"is {value}, but must be at most {most}, the number of {what}")


def _check_ascending(location: Location, values: Sequence[int]) -> None:
    for index in range(1, len(values)):
        if values[index] < values[index - 1]:
            _refuse(
                (*location, index),
                f"is {values[index]} after {values[index - 1]}, but the list must be ascending",
            )


def _training_examples(location: Location, dataset: dict[str, Any]) -> int:
    """The number of examples trained on, once sizes and the keys of the kind are found right."""
    name, held_out = dataset["name"], dataset["held_out"]
    for key in _NEEDED_KEYS.get(name, []):
        if key not in dataset:
            allowed = _allowed(_schema()["$defs"]["dataset"]["properties"][key])
            problem = f"is missing; the data set {name} needs it, and it must be {allowed}"
            _refuse((*location, key), problem)
    for kind, keys in _OWN_KEYS.items():
        for key in keys:
            if key in dataset and kind != name:
                _refuse(
                    (*location, key),
                    f"is {_shown(dataset[key])}, but must be left out: it belongs to the data set "
                    f"{kind}, and this one is {name}",
                )
    if held_out and "test_examples" in dataset:
        _refuse(
            (*location, "test_examples"),
            f"is {dataset['test_examples']}, but must be left out: the {held_out} examples of "
            "held_out replace the test split",
        )
    for split in ("train", "test"):
        key = f"{split}_examples"
        if key in dataset and name != "synthetic":
            most = _split_size(location, dataset, split)
            _check_at_most((*location, key), dataset[key], most, f"examples in the {split} split")
    used = dataset.get("train_examples") or _split_size(location, dataset, "train")
    if held_out >= used:
        _refuse(
            (*location, "held_out"),
            f"is {held_out}, but must be below {used}, the number of training examples before any "
            "are held out",
        )
    return used - held_out


def _split_size(location: Location, dataset: dict[str, Any], split: str) -> int:
    """Examples in a split of a public data set, or of an npz file by its array's header alone."""
    if dataset["name"] in _SPLITS:
        return _SPLITS[dataset["name"]][split == "test"]

    from numpy.lib import format as npy  # 0.1 s that only npz files cost

    location, path, array = (*location, "path"), dataset["path"], f"{split}_inputs"
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{array}.npy") as file:
            first = npy.read_magic(file) == (1, 0)
            read_header = npy.read_array_header_1_0 if first else npy.read_array_header_2_0
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
    _refuse(location, f"is {_shown(path)}, {problem}")


def _check_network(location: Location, network: dict[str, Any]) -> None:
    """A network of the library, whose arguments get their defaults, or the user's own builder."""
    name = network["name"]
    if name in BUILDERS:
        schema = _schema()["$defs"][f"{name}_arguments"]
        _check_schema((*location, "arguments"), network["arguments"], schema)
        network["arguments"] = _filled(network["arguments"], schema)
        return
    location = (*location, "name")
    module, colon, function = name.partition(":")
    parts = [*module.split("."), function]
    if not colon or not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        what = "the import path package.module:function of your own builder, or one of"
        _refuse(location, _choice(name, list(BUILDERS), what))
    spec = _module_spec(module)
    if spec is None:
        _refuse(
            location,
            f"is {_shown(name)}, but there is no module {module} in the working directory or among "
            "the installed packages; mend the name or put it there",
        )
    names = _module_names(location, spec)
    if names is not None and function not in names:
        _refuse(
            location,
            f"is {_shown(name)}, but {spec.origin} defines no {function}"
            f"{_suggestion(function, names)}; its names are: {_listed(names) or 'none'}",
        )


def _module_spec(module: str) -> importlib.machinery.ModuleSpec | None:
    """Where a module lies, without importing it or its packages (they may import torch)."""
    first, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):  # ValueError: a module without a specification, as __main__
        return None
    name = first
    for part in rest:
        name = f"{name}.{part}"
        places = (spec and spec.submodule_search_locations) or []
        finders = [finder for finder in map(pkgutil.get_importer, places) if finder]
        spec = next((found for finder in finders if (found := finder.find_spec(name))), None)
    # a folder without __init__.py is found as a package, but holds no functions
    return spec if spec and spec.loader and spec.origin else None


def _module_names(location: Location, spec: importlib.machinery.ModuleSpec) -> list[str] | None:
    """Names that a module binds by its source; None where the source does not tell."""
    if spec.origin is None or not spec.origin.endswith(".py"):
        return None
    try:
        names = list(dict.fromkeys(_bound_names(ast.parse(Path(spec.origin).read_bytes()))))
    except RecursionError:
        return None
    except (SyntaxError, ValueError, OSError) as error:
        line = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
        problem = f"names the module {spec.name}, but {spec.origin} is not valid Python{line}"
        _refuse(location, problem)
    return None if "*" in names or "__getattr__" in names else names


def _bound_names(node: ast.AST) -> Iterator[str]:
    """Names bound at a module's top level, also below its if, try and with."""
    for child in ast.iter_child_nodes(node):
        match child:
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                yield name
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from (alias.asname or alias.name.partition(".")[0] for alias in aliases)
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case (
                ast.Lambda() | ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp()
            ):
                pass  # scopes of their own
            case _:
                yield from _bound_names(child)


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


def _check_row(location: Location, row: dict[str, Any], runs: dict[str, Any]) -> None:
    _check_shown_run((*location, "run"), row["run"], runs)
    checkpoints = runs[row["run"]]["checkpoints"]
    if row["epoch"] not in checkpoints:
        what = f"one of the checkpoints of {row['run']}"
        _refuse(
            (*location, "epoch"), f"is {row['epoch']}, but must be {what}: {_listed(checkpoints)}"
        )


def _check_shown_run(location: Location, name: str, runs: dict[str, Any]) -> None:
    if name not in runs:
        _refuse(location, _choice(name, list(runs), "one of the runs"))
    curvature = runs[name]["curvature"]
    sizes, outliers = len(curvature["batch_sizes"]), curvature["outliers"]
    least = -(-(outliers + 4) // outliers)
    if sizes < least:
        _refuse(
            ("runs", name, "curvature", "batch_sizes"),
            f"has {sizes} entries, but a run that a figure shows must have at least {least}: sizes "
            f"times outliers ({outliers}) may not be below the fit's {outliers + 4} parameters",
        )
