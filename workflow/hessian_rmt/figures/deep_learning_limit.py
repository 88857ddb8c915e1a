"""Figures 1, 2 and X1 of `deep_learning_limit`: eigenvalues of drawn batches, and of spiked GOE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hessian_rmt.figures.style import (
    BLUE,
    GREEN,
    ORANGE,
    PALETTE,
    VERMILION,
    new_figure,
    save_figure,
)

Statistics = Mapping[str, Any]

BOX_COLUMNS = ("run", "data", "epoch", "quantity", "draw", "value", "residual")
SPIKED_COLUMNS = ("ratio", "size", "strength", "quantity", "value", "low", "high", "samples")
SPREAD = 1.96


def draw_boxes(
    cells: Sequence[tuple[str, int, Statistics]], end: str, files: dict[str, str | Path]
) -> None:
    """Box plots of one end's eigenvalue over draws by epoch, a panel for each label.

    cells: label, epoch and `rmt.density_statistics.draw_statistics`. end: "largest" or "smallest".
    """
    labels = list(dict.fromkeys(label for label, _, _ in cells))
    figure, axes = new_figure(len(labels), 1, panel=(5.6, 2.8))
    for ax, label in zip(axes[:, 0], labels, strict=True):
        _boxes(ax, [(epoch, own) for name, epoch, own in cells if name == label], end)
        ax.set_title(label, loc="left")
    save_figure(figure, files, BOX_COLUMNS, _box_rows(cells, end))


def _boxes(ax: Any, cells: Sequence[tuple[int, Statistics]], end: str) -> None:
    places = np.arange(len(cells))
    draws = [own[f"{end}/draws"] for _, own in cells]
    size = int(cells[0][1]["batch_size"])
    ax.boxplot(
        draws,
        positions=places,
        widths=0.3,
        whis=(0, 100),
        showfliers=False,
        medianprops={"color": VERMILION},
        boxprops={"color": "0.3"},
        whiskerprops={"color": "0.3"},
        capprops={"color": "0.3"},
    )
    for place, values in zip(places, draws, strict=True):
        label = f"{len(values)} batches of {size}, with boxes" if place == 0 else None
        ax.plot(np.full(len(values), place), values, "o", ms=2.5, color=VERMILION, label=label)

    def mark(key: str, marker: str, color: str, label: str, shift: float) -> None:
        values = [own[key] for _, own in cells]
        ax.plot(places + shift, values, marker, ms=6, mew=1.4, color=color, label=label, ls="")

    examples = int(cells[0][1]["examples"])
    mark(f"{end}/full", "D", BLUE, f"all {examples:,} examples", -0.28)
    mark(f"{end}/printed", "x", ORANGE, r"(18) as printed, threshold $\sigma$", 0.28)
    mark(f"{end}/corrected", "+", GREEN, r"(18), threshold $\sqrt{N/T}\,\sigma$", 0.28)
    ax.axhline(0, color="0.7", lw=0.6, zorder=0)
    ax.set_xticks(places, [str(epoch) for epoch, _ in cells])
    ax.set_xlim(-0.6, len(cells) - 0.4)
    symbol = r"\max" if end == "largest" else r"\min"
    ax.set_xlabel("epoch")
    ax.set_ylabel(rf"{end} eigenvalue $\lambda_{{{symbol}}}$")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def _box_rows(cells: Sequence[tuple[str, int, Statistics]], end: str) -> Iterator[list[Any]]:
    for label, epoch, own in cells:
        head = [label, own["data"], epoch]
        pairs = zip(own[f"{end}/draws"], own[f"{end}/residuals"], strict=True)
        for draw, (value, residual) in enumerate(pairs):
            yield [*head, "batch", draw, value, residual]
        yield [*head, "all examples", "", own[f"{end}/full"], own[f"{end}/full_residual"]]
        for key in ("mean", "low", "high", "printed", "corrected"):
            yield [*head, key, "", own[f"{end}/{key}"], ""]
        for draw, value in enumerate(own[f"{end}/noise_end"]):
            yield [*head, "end of the noise's spectrum", draw, value, ""]
        yield [*head, "GOE edge of the noise", "", own["goe_edge"], ""]


def draw_spiked(statistics: Statistics, files: dict[str, str | Path]) -> None:
    """Simulated largest eigenvalues against (17), (18) by ratio, and the fitted thresholds."""
    ratios, sizes, strengths = (statistics[name] for name in ("ratios", "sizes", "strengths"))
    figure, axes = new_figure(1, len(ratios) + 1, panel=(2.5, 2.7))
    samples = statistics["values"].shape[3]
    for i, (ax, ratio) in enumerate(zip(axes[0], ratios, strict=False)):
        scale = np.sqrt(ratio)
        values = statistics["values"][i, -1] / scale
        ax.errorbar(
            strengths,
            values.mean(axis=1),
            SPREAD * values.std(axis=1, ddof=1),
            fmt="o",
            ms=2.5,
            lw=0.8,
            color=BLUE,
            label=f"{samples} matrices, N = {sizes[-1]:,}",
        )
        x = np.linspace(strengths[0], strengths[-1], 801)
        ax.plot(
            x, np.where(x > 1, x + 1 / x, 2), color=GREEN, label=r"threshold $\sqrt{N/T}\,\sigma$"
        )
        if not np.isclose(ratio, 1):
            printed = np.where(x > 1 / scale, x + 1 / x, 2)
            ax.plot(x, printed, "--", color=ORANGE, label=r"printed threshold $\sigma$")
        ax.set_title(f"N / T = {ratio:g}" + (": (17)" if np.isclose(ratio, 1) else ""), loc="left")
        ax.set_xlabel(r"spike $\lambda$ / $(\sqrt{N/T}\,\sigma)$")
        ax.set_ylim(1.5, 6.5)  # room for the legend
        ax.legend(loc="upper left", fontsize=6)
    axes[0, 0].set_ylabel(r"largest eigenvalue $\lambda'$ / $(\sqrt{N/T}\,\sigma)$")
    _draw_thresholds(axes[0, -1], statistics)
    save_figure(figure, files, SPIKED_COLUMNS, _spiked_rows(statistics))


def _draw_thresholds(ax: Any, statistics: Statistics) -> None:
    """Fitted over corrected thresholds; the printed ones, far off, in words."""
    ratios, sizes = statistics["ratios"], statistics["sizes"]
    printed = []
    for i, ratio in enumerate(ratios):
        fit, low, high = (statistics["thresholds"][i] / np.sqrt(ratio)).T
        ax.errorbar(
            sizes * 1.08 ** (i - (len(ratios) - 1) / 2),
            fit,
            [fit - low, high - fit],
            fmt="o",
            ms=3,
            lw=0.9,
            color=PALETTE[i],
            label=f"N / T = {ratio:g}",
        )
        if not np.isclose(ratio, 1):
            printed.append(f"{1 / np.sqrt(ratio):.3g}")
    ax.axhline(1, color="0.4", lw=0.8, zorder=0)
    ax.set_xscale("log")
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.minorticks_off()
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom - (top - bottom), top)  # room for the legend
    ax.set_title(f"printed: {' and '.join(printed)}, far off", loc="left")
    ax.set_xlabel("order N")
    ax.set_ylabel(r"fitted threshold / $(\sqrt{N/T}\,\sigma)$")
    ax.legend(loc="lower right", fontsize=6)


def _spiked_rows(statistics: Statistics) -> Iterator[list[Any]]:
    samples = statistics["values"].shape[3]
    for i, ratio in enumerate(statistics["ratios"]):
        for j, size in enumerate(statistics["sizes"]):
            for k, strength in enumerate(statistics["strengths"]):
                head = [ratio, size, strength]
                for name in ("values", "overlaps"):
                    found = statistics[name][i, j, k]
                    mean, error = found.mean(), SPREAD * found.std(ddof=1) / np.sqrt(samples)
                    quantity = {"values": "largest eigenvalue", "overlaps": "squared overlap"}[name]
                    yield [*head, quantity, mean, mean - error, mean + error, samples]
                for name in ("printed", "corrected"):
                    yield [*head, f"(18) {name}", statistics[name][i, k], "", "", ""]
            fit, low, high = statistics["thresholds"][i, j]
            yield [ratio, size, "", "fitted threshold", fit, low, high, samples]
