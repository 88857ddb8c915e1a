"""What the configuration's schema says: its errors as one sentence each, and its defaults.

jsonschema finds the error; the wording is ours, by the keyword of the schema that failed.
"""

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, NoReturn

from hessian_rmt.errors import UserError

SCHEMA = Path(__file__).parents[1] / "schemas" / "config.schema.yaml"

Location = tuple[str | int, ...]
_LONGEST_LIST = 320  # characters


def refuse(location: Location, problem: str) -> NoReturn:
    dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    raise UserError(f"config: {dotted.removeprefix('.') or 'the top level'} {problem}")


def shown(value: object) -> str:
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


def listed(words: Iterable[object]) -> str:
    """The words with commas; of many, as many as are read in a sentence."""
    texts = [str(word) for word in words]
    ends = accumulate(len(text) + 2 for text in texts)
    shown = sum(end <= _LONGEST_LIST for end in ends)
    return ", ".join(texts if len(texts) <= min(shown, 30) else [*texts[: min(shown, 29)], "..."])


def suggestion(word: object, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(word).lower(), list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def choice(value: object, known: Sequence[str], what: str) -> str:
    return f"is {shown(value)}{suggestion(value, known)}, but must be {what}: {listed(known)}"


@cache
def load_schema() -> dict[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast
    schema = yaml.load(SCHEMA.read_text(encoding="utf-8"), loader)
    del schema["$schema"]  # or jsonschema takes the draft's own class in place of `_validator`'s
    return schema


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return load_schema()["$defs"][reference.removeprefix("#/$defs/")] if reference else schema


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
    return validators.extend(Draft202012Validator, type_checker=checker)(load_schema())


def check_text(location: Location, value: object) -> None:
    """What jsonschema would stumble over: keys that are no text, huge integers, endless nesting."""
    if len(location) > 20:
        refuse(location[:3], "is nested too deeply: more than 20 levels")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                refuse(
                    location,
                    f"has a key that YAML reads as {shown(key)}, but keys must be text: "
                    "put it in quotes, or give it another name",
                )
            if not key.isprintable():
                refuse(location, f"has the key {shown(key)}, but keys must be printable text")
            check_text((*location, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_text((*location, index), item)
    elif isinstance(value, str) and not value.isprintable():
        refuse(location, f"is {shown(value)}, but must be one line of printable text")
    elif isinstance(value, int) and value.bit_length() > 64:  # jsonschema would try to print it
        refuse(location, f"is {shown(value)}, but must be below 2^63, as all numbers here")


def check_schema(location: Location, value: object, schema: dict[str, Any]) -> None:
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
                problem = f"is named {shown(unknown)}, but must have {_allowed_text(schema)}"
            elif known:
                problem = f"is no known key{suggestion(unknown, known)}, known are {listed(known)}"
            else:
                problem = "is no known key, and none is known there yet"
            refuse((*location, unknown), problem)
        case "required":
            missing = next(key for key in schema["required"] if key not in value)
            must = allowed(schema["properties"][missing])
            refuse((*location, missing), f"is missing; it must be {must}")
        case "uniqueItems":
            twice = next(item for index, item in enumerate(value) if item in value[:index])
            entry = shown(twice) if not isinstance(twice, dict | list) else "an entry"
            refuse(location, f"holds {entry} twice, but its entries must be distinct")
        case "enum" if isinstance(value, str):
            refuse(location, choice(value, schema["enum"], "one of"))
    refuse(location, f"is {shown(value)}, but must be {allowed(schema)}{_hint(value, schema)}")


def _schema_of(key: str, schema: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of a mapping's entry; None where the schema names no such key."""
    if key in schema.get("properties", {}):
        return schema["properties"][key]
    patterns = schema.get("patternProperties", {})
    return next((patterns[pattern] for pattern in patterns if re.search(pattern, key)), None)


def _allowed_text(schema: dict[str, Any]) -> str:
    return schema.get("patternErrorMessage", "text")


def allowed(schema: dict[str, Any]) -> str:
    """What a schema allows, in words."""
    schema = _resolved(schema)
    if "enum" in schema:
        return f"one of: {listed(schema['enum'])}"
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
            count = f"{schema.get('minItems', 0)} " + (
                f"to {schema['maxItems']}" if "maxItems" in schema else "or more"
            )
            return f"a list of {count} entries, each {allowed(schema['items'])}"
        case "object":
            if "patternProperties" in schema:
                return f"a mapping of 1 or more entries, each under {_allowed_text(schema)}"
            if "properties" in schema:
                return f"a mapping with the keys {listed(schema['properties'])}"
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


def filled(value: Any, schema: dict[str, Any]) -> Any:
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
        return {key: filled(items[key], _schema_of(key, schema) or {}) for key in keys}
    if isinstance(value, list):
        return [filled(item, schema.get("items", {})) for item in value]
    return float(value) if schema.get("type") == "number" else value
