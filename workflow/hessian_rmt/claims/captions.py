"""What each configured figure shows, from the schema's sentence and the labels of its runs."""

from collections.abc import Iterator, Mapping
from typing import Any

from hessian_rmt.config_schema import load_schema


def captions(config: Mapping[str, Any]) -> dict[str, str]:
    """A caption for each "paper/figure" of the configuration."""
    papers = load_schema()["properties"]["figures"]["properties"]
    return {
        f"{paper}/{figure}": _caption(
            papers[paper]["properties"][figure]["description"], settings, config
        )
        for paper, figures in config["figures"].items()
        for figure, settings in figures.items()
    }


def _caption(sentence: str, settings: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    shown = [{"run": run} for run in settings.get("runs", [])]
    shown += [*settings.get("rows", []), *settings.get("noise", [])]
    labels = dict.fromkeys(", ".join(_label(row, config["runs"])) for row in shown)
    if "family" in settings:
        family = settings["family"]
        labels[config["families"][family]["run"].get("label", family)] = None
    plain = {name: value for name, value in settings.items() if not isinstance(value, dict | list)}
    sizes = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in plain.items())
    parts = ("; ".join(labels), sizes[:1].upper() + sizes[1:])
    return " ".join([sentence, *(f"{part}." for part in parts if part)])


def _label(row: Mapping[str, Any], runs: Mapping[str, Any]) -> Iterator[str]:
    yield str(runs[row["run"]].get("label", row["run"]))
    if "epoch" in row:
        yield f"epoch {row['epoch']}"
    for name in ("part", "sample"):
        if name in row:
            yield str(row[name])
