"""`universality` figure X3: resolvents of sampled matrices against N and delta, and rigidity."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hessian_rmt.figures.style import (
    BLUE,
    GREEN,
    VERMILION,
    new_figure,
    save_figure,
)

Files = dict[str, str | Path]
COLORS = (BLUE, GREEN, VERMILION, "0.5")
# Rates in N and in delta: printed first, then the corrected one of a bilinear form
REFERENCES = (
    ({-1.0: "$N^{-1}$"}, {-1.0: r"$\delta^{-1}$"}),
    (
        {-1.0: "$N^{-1}$", -0.5: "$N^{-1/2}$"},
        {-1.0: r"$\delta^{-1}$", -0.75: r"$\delta^{-3/4}$"},
    ),
    ({-2 / 3: "$N^{-2/3}$"}, {-2.0: r"$\delta^{-2}$"}),
)
COLUMNS = (
    "ensemble",
    "quantity",
    "size",
    "damping",
    "value",
    "predicted",
    "exponent_of_size",
    "size_low",
    "size_high",
    "exponent_of_damping",
    "damping_low",
    "damping_high",
)
QUANTITIES = {
    "trace": "trace of resolvent",
    "bilinear": "bilinear form",
    "eigenvalue": r"worst $1/(\lambda_j+\delta)$",
}


def draw_concentration(statistics: Mapping[str, Any], files: Files) -> None:
    """Root mean square errors: above against N at the middle delta, below against delta."""
    sizes, damping = statistics["size"], statistics["damping"]
    ensembles = sorted(
        (name.split("/")[0] for name in statistics if name.endswith("/predicted")),
        key=lambda name: (_is_control(name), name),
    )
    figure, axes = new_figure(2, 4, panel=(2.1, 2.1))
    middle, largest = len(damping) // 2, len(sizes) - 1
    rows: list[list[Any]] = []
    for color, name in zip(COLORS, ensembles, strict=True):
        at = {k.removeprefix(f"{name}/"): v for k, v in statistics.items()}
        for column, quantity in enumerate(QUANTITIES):
            rms = np.sqrt(at[quantity].mean(1))
            of_size, of_damping = at[f"exponents/{quantity}"]
            known = quantity == "bilinear" and not _is_control(name)
            predicted = at["predicted"] if known else np.full(rms.shape, np.nan)
            cuts: Any = (
                (sizes, of_size, np.s_[:, middle]),
                (damping, of_damping, np.s_[largest]),
            )
            for ax, (x, exponent, cut) in zip(axes[:, column], cuts, strict=True):
                ax.plot(x, rms[cut], "o", ms=3, color=color, label=_bracket(exponent))
                ax.plot(x, predicted[cut], color=color, lw=0.8)
            rows += [
                [name, quantity, n, d, rms[i, j], predicted[i, j], *of_size, *of_damping]
                for i, n in enumerate(sizes)
                for j, d in enumerate(damping)
            ]
        exponent = at["exponents/rigidity"]
        rms = np.sqrt((at["rigidity"] ** 2).mean(1))
        axes[0, 3].plot(sizes, rms, "o-", ms=3, lw=0.7, color=color, label=_bracket(exponent))
        label = f"{name} (control)" if _is_control(name) else name
        axes[1, 3].plot([], [], "o", ms=4, color=color, label=label)
        rows += [
            [name, "rigidity", n, "", value, "", *exponent, "", "", ""]
            for n, value in zip(sizes, rms, strict=True)
        ]
    for column, title in enumerate(QUANTITIES.values()):
        above, below = axes[:, column]
        of_size, of_damping = REFERENCES[column]
        _reference(above, sizes, of_size)
        _reference(below, damping, of_damping)
        above.set_xscale("log", base=2)
        above.set_title(rf"{title}, $\delta$ = {damping[middle]:g}")
        below.set_title(f"{title}, $N$ = {sizes[largest]}")
        above.set_xlabel("order $N$")
        below.set_xlabel(r"damping $\delta$")
    axes[0, 0].set_ylabel("root mean square error")
    axes[1, 0].set_ylabel("root mean square error")
    axes[0, 3].set_title("rigidity (5.16)")
    axes[0, 3].set_ylabel(r"max $|\lambda_j - q_j|$ / rate")
    axes[0, 3].set_xlabel("order $N$")
    axes[0, 3].set_xscale("log", base=2)
    axes[0, 3].set_yscale("log")
    axes[1, 3].axis("off")
    axes[1, 3].legend(loc="center")
    for ax in axes.flat[:7]:
        low, high = ax.get_ylim()
        ax.set_ylim(low, high * (high / low) ** 0.6)
        ax.legend(loc="upper right", fontsize=5.5, handletextpad=0.2)
    save_figure(figure, files, COLUMNS, rows)


def _is_control(name: str) -> bool:
    return "diagonal" in name


def _bracket(exponent: np.ndarray) -> str:
    return f"{exponent[0]:.2f} [{exponent[1]:.2f}, {exponent[2]:.2f}]"


def _reference(ax: Any, x: np.ndarray, slopes: Mapping[float, str]) -> None:
    """Powers of x through the upper left of what is drawn."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    height = np.nanmax([line.get_ydata()[0] for line in ax.lines])
    for (slope, name), style in zip(slopes.items(), (":", "--"), strict=False):
        y = height * (x / x[0]) ** slope
        ax.plot(x, y, style, color="0.5", lw=0.8)
        ax.annotate(name, (x[-1], y[-1]), fontsize=6, color="0.4")
