"""One look for all figures, and one way to save them: vector pdf, png, and the numbers as csv."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hessian_rmt.storage import write_bytes, write_csv

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito's palette, told apart with any colour vision
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
)
PALETTE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)

_STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
    "figure.constrained_layout.use": True,
}


def new_figure(rows: int, columns: int, *, panel: tuple[float, float], **options: Any) -> Any:
    """A figure and its axes (rows, columns), each panel `panel` inches wide and high."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from cycler import cycler

    plt.rcParams.update(_STYLE)
    plt.rcParams["axes.prop_cycle"] = cycler(color=PALETTE)
    size = (panel[0] * columns, panel[1] * rows)
    return plt.subplots(rows, columns, figsize=size, squeeze=False, **options)


def wrapped(label: str, width: int) -> str:
    """A label in lines of at most `width` letters, so that it stays beside or above its panel."""
    return textwrap.fill(label, width, break_on_hyphens=False)


def save_figure(
    figure: Figure,
    files: dict[str, str | Path],
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    """Write pdf, png (without dates: equal figures are equal files) and csv to `files`."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # it is laid out now, once for both
    for suffix, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
        image = io.BytesIO()
        figure.savefig(image, format=suffix, metadata=metadata)
        write_bytes(files[suffix], image.getvalue())
    write_csv(files["csv"], columns, rows)
