"""How well (2.33) of `universality` fits a run's outliers, epoch by epoch, in three grades.

The paper judges plots of mean eigenvalues and curves by eye. Here a fit is

    excellent   R^2 >= 0.95 about each outlier's own mean, relative error <= 5 %
    poor        R^2 < 0.80, or relative error > 10 %
    reasonable  otherwise.

relative error: the root mean square of (mean over seeds - curve) / mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hessian_rmt.claims.claim import Evidence, Table, Untestable, known

EXCELLENT, REASONABLE, POOR = "excellent", "reasonable", "poor"
KINDS = {"mlp": "MLP", "vgg": "VGG", "wide_resnet": "WRN"}  # builders; best agreement last
PREFIX = "statistics/universality/outliers-"
FIGURES = "fig1, fig2, fig3 or atlas of universality with the run"
LONG_TRAINING = 300  # epochs
# What the papers' convolutional networks have of their builders' arguments: the defaults
ARCHITECTURE: Mapping[str, Mapping[str, Any]] = {
    "vgg": {"convolutions": [2, 2, 3, 3, 3], "width": 64},
    "wide_resnet": {"depth": 28, "widening": 10, "width": 16},
}


@dataclass(frozen=True)
class Fits:
    """Fits of one run: its name and what it stands for, `epoch` (E,) and statistics by name."""

    run: str
    kind: str
    stand_in: bool
    table: Table

    @property
    def epoch(self) -> np.ndarray:
        return np.asarray(self.table["epoch"])

    def __getitem__(self, name: str) -> np.ndarray:
        return np.asarray(self.table[f"full/{name}"])

    def interval(self, name: str) -> np.ndarray:
        """(E, 2), the 95 % interval of a scalar."""
        return np.asarray(self.table[f"full/intervals/{name}"])

    def grades(self, fit: str = "full") -> list[str]:
        r_squared = known(self.table[f"{fit}/r_squared"], "R^2 of the fit")
        error = known(self.table[f"{fit}/relative_rmse"], "the fit's error")
        return [grade(*pair) for pair in zip(r_squared, error, strict=True)]

    def quality(self, at: int) -> str:
        """The fit at an epoch, in words."""
        return (
            f"{self.kind} epoch {self.epoch[at]}: R^2 {self['r_squared'][at]:.3f}, "
            f"error {100 * self['relative_rmse'][at]:.1f} %, "
            f"chi^2/dof {self['chi_squared'][at] / self['degrees_of_freedom'][at]:.1f}"
        )


def grade(r_squared: float, relative_rmse: float) -> str:
    if r_squared >= 0.95 and relative_rmse <= 0.05:
        return EXCELLENT
    return POOR if r_squared < 0.8 or relative_rmse > 0.1 else REASONABLE


def networks(evidence: Evidence, *, needed: tuple[str, ...] = ()) -> dict[str, Fits]:
    """The fits of the paper's own networks, by kind; of several runs the one with most epochs.

    Raises Untestable where one of the `needed` kinds, or all, are missing or have stand-ins only:
    what holds for a small network on other data decides nothing about the paper's.
    """
    found = all_networks(evidence)
    own = {kind: fits for kind, fits in found.items() if not fits.stand_in}
    missing = [kind for kind in needed or KINDS.values() if kind not in own]
    if missing if needed else not own:
        stand_ins = [found[kind].run for kind in missing if kind in found]
        others = f" ({' and '.join(stand_ins)}: stand-ins)" if stand_ins else ""
        raise Untestable(
            f"no fits of the paper's own {' and '.join(missing)}{others}; config must name such "
            f"runs in {FIGURES}"
        )
    return own


def all_networks(evidence: Evidence) -> dict[str, Fits]:
    """The fits of one run of each kind of network, the paper's own before stand-ins.

    Kinds are what the paper's three networks are: MLP on MNIST, VGG without and wide ResNet with
    BatchNorm; smaller, on other data or trained for less they are stand-ins.
    """
    found: dict[str, Fits] = {}
    for run, table in evidence.under(PREFIX, FIGURES).items():
        settings = evidence.runs[run]
        kind = KINDS.get(settings["network"]["name"])
        if kind is None or settings["dataset"]["name"] == "embeddings" or _is_other(settings):
            continue
        fits = Fits(run, kind, not is_papers_own(settings), table)
        if kind not in found or _rank(fits) > _rank(found[kind]):
            found[kind] = fits
    return found


def _rank(fits: Fits) -> tuple[bool, int]:
    return not fits.stand_in, len(fits.epoch)


def _is_other(settings: Mapping[str, Any]) -> bool:
    """Perceptrons of other widths, and VGG with BatchNorm, are other networks, no stand-ins."""
    name, arguments = settings["network"]["name"], settings["network"].get("arguments", {})
    if name == "mlp":
        return list(arguments.get("hidden", [])) != [10, 100]
    return bool(arguments.get("batch_norm", False))


def is_papers_own(settings: Mapping[str, Any]) -> bool:
    """Whether a run is one of the paper's: architecture, data set, resolution, examples, epochs."""
    dataset, network = settings["dataset"], settings["network"]
    whole = dataset.get("image_size") is None and dataset.get("train_examples") is None
    if network["name"] == "mlp":
        return whole and dataset["name"] == "mnist"
    given = network.get("arguments", {})
    whole = whole and all(
        given.get(name, value) == value for name, value in ARCHITECTURE[network["name"]].items()
    )
    trained = settings["training"]["epochs"] >= LONG_TRAINING
    return whole and trained and dataset["name"] == "cifar100"
