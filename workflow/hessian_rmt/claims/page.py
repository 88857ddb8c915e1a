"""Verdicts for people: a Markdown table, and the front page that links claims to figures.

The page is one file without anything from elsewhere but the figures beside it, by relative links.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from hessian_rmt.claims.claim import VERDICTS

TITLES = {
    "universality": "Universal characteristics of deep neural network loss surfaces from random "
    "matrix theory",
    "applicability": "Applicability of random matrix theory in deep learning",
    "deep_learning_limit": "The deep learning limit: are negative neural network eigenvalues just "
    "noise?",
    "geometry": "Geometry of neural network loss surfaces via random matrix theory",
}
AUTHORS = {
    "universality": "Baskerville, Keating, Mezzadri, Najnudel, Granziol",
    "applicability": "Baskerville, Granziol, Keating",
    "deep_learning_limit": "Granziol, Garipov, Zohren, Vetrov, Roberts, Wilson",
    "geometry": "Pennington, Bahri",
}
Row = Mapping[str, str]


def markdown_table(rows: Sequence[Row]) -> str:
    """Verdicts by claim, with what was measured."""
    counts = Counter(row["verdict"] for row in rows)
    lines = [
        f"# Claims at scale `{rows[0]['scale']}`",
        "",
        ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS) + ".",
        "",
        "| id | claim | verdict | measured | interval or p-value |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        cells = (row[name] for name in ("id", "statement", "verdict", "measured", "evidence"))
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def front_page(
    template: str,
    scale: str,
    rows: Sequence[Row],
    shown: Sequence[str],
    captions: Mapping[str, str],
) -> str:
    """The page's HTML.

    template: of Jinja2, which escapes all values. shown: paths of pictures and tables below
    results/{scale}, in order; captions: by "paper/figure".
    """
    from jinja2 import Environment, StrictUndefined

    figures = sorted((_figure(path, scale, captions) for path in shown), key=_place)
    papers = list(dict.fromkeys([row["paper"] for row in rows]))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(template).render(
        scale=scale,
        rows=[dict(row) | {"links": _links(row, figures)} for row in rows],
        figures=figures,
        papers=papers,
        titles=TITLES,
        authors=AUTHORS,
        verdicts=VERDICTS,
        counts=Counter(row["verdict"] for row in rows),
    )


def _figure(path: str, scale: str, captions: Mapping[str, str]) -> dict[str, Any]:
    """A picture with its pdf and csv, or a table, which is its csv alone."""
    inside = PurePosixPath(path).relative_to(f"results/{scale}")
    paper, name = inside.parent.name, inside.stem
    key, _, run = name.partition("-")
    picture = inside.suffix == ".png"
    kind, number = (
        ("Figure", key.removeprefix("fig")) if picture else ("Table", key[len("table") :])
    )
    title = f"{kind} {number}" if number != key else key.capitalize()
    return {
        "id": f"{paper}-{name}",
        "paper": paper,
        "key": key,
        "title": f"{title}, {run}" if run else title,
        "caption": captions[f"{paper}/{key}"],
        "png": str(inside) if picture else "",
        "pdf": str(inside.with_suffix(".pdf")) if picture else "",
        "csv": str(inside.with_suffix(".csv")),
    }


def _place(figure: Mapping[str, Any]) -> tuple[int, str]:
    """The paper's figures by number, what belongs to them, new figures, tables."""
    key, number = figure["key"], figure["key"].removeprefix("fig")
    if not figure["png"]:
        return 3, key
    return (0 if number[0].isdigit() else 2 if number[0] == "X" else 1), figure["id"]


def _links(row: Row, figures: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The figures, or tables, of the page that show a claim."""
    return [
        figure
        for figure in figures
        if figure["paper"] == row["paper"] and figure["key"] == row["figure"]
    ]
