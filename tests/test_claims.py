"""Each claim passes on evidence made to agree with it, and fails on evidence made to disagree."""

import copy
from typing import Any

import numpy as np
import pytest
from scipy.integrate import cumulative_trapezoid

from hessian_rmt.claims.agreement import EXCELLENT, POOR, REASONABLE, grade
from hessian_rmt.claims.applicability import semicircle_distance
from hessian_rmt.claims.claim import (
    CONTRADICTED,
    REPRODUCED,
    UNTESTABLE,
    VERDICTS,
    Untestable,
    fisher,
    known,
)
from hessian_rmt.claims.universality_outliers import count_outliers
from hessian_rmt.claims.verdicts import CLAIMS, COLUMNS, judge, verdicts
from hessian_rmt.rmt.laws import KestenMcKay, Semicircle
from hessian_rmt.rmt.local_tests import goe_eigenvalues

ALL = {claim.id: claim for claims in CLAIMS.values() for claim in claims}
Files = dict[str, dict[str, Any]]


# Evidence, claim by claim: (files that agree, files that disagree) --------------------------------

MNIST = {"dataset": {"name": "mnist"}, "training": {"epochs": 10}}
CIFAR = {"dataset": {"name": "cifar100"}, "training": {"epochs": 300}}
RUNS = {
    "mlp": MNIST | {"network": {"name": "mlp", "arguments": {"hidden": [10, 100]}}},
    "vgg": CIFAR | {"network": {"name": "vgg", "arguments": {"batch_norm": False}}},
    "wrn": CIFAR | {"network": {"name": "wide_resnet", "arguments": {}}},
}


def fits(epochs: list[int], r_squared: list[float], **changes: Any) -> dict[str, Any]:
    """Statistics of the outlier model: what `changes` does not say is unremarkable."""
    n = len(epochs)
    table = {
        "r_squared": np.array(r_squared),
        "relative_rmse": np.where(np.array(r_squared) >= 0.95, 0.01, 0.07),
        "chi_squared": np.full(n, 40.0),
        "degrees_of_freedom": np.full(n, 40),
        "alpha": np.linspace(0, 5, n),
        "beta": np.full(n, 4.0),
        "gamma": np.full(n, 0.05),
        "exponent": np.linspace(0.7, 0.3, n),
    } | {name: np.array(values) for name, values in changes.items()}
    intervals = {
        f"full/intervals/{name}": np.stack([table[name] - width, table[name] + width], axis=-1)
        for name, width in (("alpha", 0.5), ("exponent", 0.05))
    }
    return {
        "epoch": np.array(epochs),
        "adam/r_squared": table["r_squared"],
        "adam/relative_rmse": table["relative_rmse"],
        **{f"full/{name}": values for name, values in table.items()},
        **intervals,
    }


def outliers(mlp: dict[str, Any], vgg: dict[str, Any], wrn: dict[str, Any]) -> Files:
    named = {"mlp": mlp, "vgg": vgg, "wrn": wrn}
    return {f"statistics/universality/outliers-{run}": table for run, table in named.items()}


PAPER = outliers(
    fits([0, 1, 2], [0.99, 0.6, 0.7]),
    fits([0, 25, 300], [0.99, 0.9, 0.5]),
    fits([0, 25, 300], [0.99, 0.93, 0.97]),
)


def paper(run: str, **changes: Any) -> Files:
    """The paper's networks with one of them changed."""
    address = f"statistics/universality/outliers-{run}"
    old = PAPER[address]
    r_squared = changes.pop("r_squared", old["full/r_squared"])
    return PAPER | {address: fits(list(old["epoch"]), r_squared, **changes)}


def accuracies(**changes: float) -> Files:
    reached = {"mlp": 0.951, "vgg": 0.74, "wrn": 0.81} | changes
    return PAPER | {
        f"checkpoints/{run}/training": {
            "rows": [{"held_out_accuracy": "0.1"}, {"held_out_accuracy": str(value)}]
        }
        for run, value in reached.items()
    }


def pairs(distance: float, p_value: float, control: float = 0.3) -> Files:
    table = {}
    for name, (d, p) in {
        "GOE+UWig": (0.005, 0.4),
        "UWig+UWish": (distance, p_value),
        "diagonal+diagonal": (control, 1e-9),
    }.items():
        table |= {f"{name}/distance": d, f"{name}/p_value": p}
    return {"ensembles/pairs": table}


def rigid(law: Any, n: int, samples: int, rng: np.random.Generator, shift: float = 0) -> np.ndarray:
    """Spectra (samples, n) as rigid as a random matrix's, with the law's density."""
    levels = (np.arange(n) + 0.5 + rng.uniform(-0.4, 0.4, (samples, n))) / n
    return law.quantile(levels.ravel()).reshape(samples, n) + shift


def graphs(shift: float = 0.0) -> Files:
    rng, law = np.random.default_rng(0), KestenMcKay(3)
    grid = np.linspace(law.support[0][0], law.support[-1][1], 2000)
    table = {"3/grid": grid, "3/density": law.density(grid)}
    for name, move in (("GOE", 0.0), ("UWig", shift), ("Wish", 1.0), ("UWish", 1.0 + shift)):
        table[f"3/{name}/eigenvalues"] = rigid(law, 200, 20, rng, move)
    return {"ensembles/graphs": table}


def complexity(*bounds: tuple[float, float]) -> Files:
    rows = [
        {
            "printed_on_signal": str((low + high) / 2),
            "low": str(low),
            "high": str(high),
            "loss_scale_at_sign_flip": "100.0",
            "invariant": "",
            "log_volume": "",
        }
        for low, high in bounds
    ]
    return {"tables/universality/tableX1": {"rows": rows}}


def noise(
    slope: float = -0.5, p_value: float = 0.4, distance: float = 0.2, **controls: float
) -> Files:
    control = {"GOE": 0.5, "blocks": 0.001, "blocks, random q": 0.5} | controls
    return {
        "statistics/universality/noise/mlp/epoch-005": {
            "scaling/norm/slope": np.array([slope, slope - 0.04, slope + 0.04]),
            "scaling/third/slope": np.array([-2.0, -2.1, -1.9]),
            "scaling/fourth/slope": np.full(3, np.nan),
            "controls/kind": np.array(list(control)),
            "controls/isotropic/kind_p_value": np.array(list(control.values())),
            "directions/kind": np.array(["coordinate", "gradient", "random"]),
            "directions/isotropic/kind_distance": np.array([distance, 0.02, 0.9]),
            "directions/isotropic/kind_p_value": np.array([p_value, 0.5, 0.001]),
            "directions/profile/kind_p_value": np.array([0.5, 0.5, 0.5]),
        }
    }


def concentration(rate: float, control: float = 0.0) -> Files:
    def exponent(value: float) -> np.ndarray:
        return np.array([[value, value - 0.03, value + 0.03], [-0.7, -0.8, -0.6]])

    table = {}
    for name, value in (("Wishart, square", rate), ("independent diagonal", control)):
        table |= {f"{name}/exponents/{q}": exponent(value) for q in ("bilinear", "trace")}
        table[f"{name}/exponents/rigidity"] = np.zeros(3)
    return {"ensembles/concentration": table}


def quadrature(spikes: int, residual: float = 1e-8) -> Files:
    """A semicircle of radius 2 with `spikes` eigenvalues far above, and two probes."""
    bulk = np.linspace(-1.9, 1.9, 40)
    nodes = np.concatenate([bulk, 20.0 + 5 * np.arange(spikes)])
    weights = np.concatenate([np.full(40, 1 / 40), np.full(spikes, 1e-5)])
    return {
        "density/wrn/epoch-300/full": {
            "nodes": np.tile(nodes, 2),
            "weights": np.tile(weights, 2),
            "residuals": np.full(2 * len(nodes), residual),
            "probe": np.repeat([0, 1], len(nodes)),
        }
    }


def local(
    means: dict[str, float],
    p_value: float,
    spacing_p: float,
    error: float = 0.003,
    smallest_p: float = 0.01,
) -> Files:
    """Two epochs and both splits of a run, each with batches and full data. means: by condition."""
    files: Files = {}
    for epoch in ("000", "010"):
        for part in ("train", "test"):
            table: dict[str, Any] = {"cut/round_off_share": 0.7}
            for arm in ("signal", "full", "cut", "round_off"):
                mean = 0.5307 + sum(means.get(key, 0.0) for key in (epoch, part, arm))
                table |= {
                    f"{arm}/ratios": np.ones(1000),
                    f"{arm}/mean_bounded_ratio": mean,
                    f"{arm}/low": mean - 2 * error,
                    f"{arm}/high": mean + 2 * error,
                    f"{arm}/mean_ratio_p_value": p_value,
                    f"{arm}/smallest_p_value": smallest_p,
                    f"{arm}/spacing_p_value": 0.3,
                    f"{arm}/spacing_distance": 0.02,
                    f"{arm}/matched_spacing_p_value": spacing_p,
                }
            files[f"statistics/applicability/local/mlp/epoch-{epoch}/{part}"] = table
    return files


def spectra(eigenvalues: np.ndarray) -> Files:
    kind = np.full(eigenvalues.shape, 2)
    table = {"eigenvalues": eigenvalues, "kind": kind}
    return {"exact/mlp/epoch-010/train/batches-0000-0001": table}


def heavy_tailed() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((2, 500)) ** 3


def goe() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([goe_eigenvalues(500, rng) for _ in range(2)])


def processes(p_value: float, control: float = -80.0) -> Files:
    return {
        "ensembles/gaussian_process": {
            "control/z_goe": control,
            "agreement/mean_z_p_value": 0.5,
            "agreement/p_value": p_value,
            "agreement/cases": 20,
            "agreement/mean_z": 0.1,
        }
    }


def round_off(share: float) -> Files:
    rows = [{"solver": "eigvalsh", "round_off_share": str(share)}]
    return {"tables/applicability/tableX1": {"rows": rows}}


def averages(low: float, high: float) -> Files:
    prefix = "average_minus_reference/error"
    return {
        "statistics/applicability/fig7": {
            f"{prefix}/interval": np.array([low, high]),
            f"{prefix}/mean": (low + high) / 2,
            f"{prefix}/values": np.zeros(5),
            f"{prefix}/p_value": 0.06,
            "average_minus_own_iterate/error/mean": -0.02,
            "data": "stand-in",
        }
    }


def budgets(published: str = "good", measured: str = "good", count: int = 8) -> Files:
    t = np.linspace(5, 60, count)
    table: dict[str, Any] = {"data": "stand-in", "measured/minima/budget": t}
    for source, state in (("published", published), ("measured", measured)):
        y = 0.9 + 0.5 * np.exp(-0.1 * t)
        total = np.sum((y - y.mean()) ** 2)
        for quantity in ("loss", "error"):
            folder = f"{source}/{quantity}/epoch"
            table |= {
                f"{source}/minima/{quantity}": y,
                f"{folder}/exponential/parameters": np.array([0.9, 0.5, -0.1]),
                f"{folder}/exponential/rss": total * (0.3 if state == "scatter" else 0.01),
                f"{folder}/power/difference": -9.0 if state == "power" else 5.0,
                f"{folder}/power/exponential_p_value": 0.002 if state == "power" else 0.8,
            }
    return {"statistics/applicability/fig8": table}


def extreme(
    mean: float,
    p_value: float,
    control: float = 0.05,
    count: int = 900,
    smallest_p: float = 0.01,
) -> Files:
    return {
        "statistics/applicability/extreme/mlp/epoch-010": {
            "both/count": count,
            "both/mean_bounded_ratio": mean,
            "both/low": mean - 0.02,
            "both/high": mean + 0.02,
            "both/mean_ratio_p_value": p_value,
            "both/smallest_p_value": smallest_p,
            "control/ratio_p_value": control,
            "control/mean_bounded_ratio": 0.8,
        }
    }


def augmented(
    largest: tuple[float, ...],
    smallest: tuple[float, ...],
    *,
    parameters: int = 10**6,
    gaps: tuple[float, ...] = (0.5, 0.2, 0.1),
    residual: float = 1e-6,
    examples: tuple[int, ...] = (1000, 10_000, 100_000),
) -> Files:
    """Ends of a network's spectrum for T, 10 T and 100 T examples."""
    table: dict[str, Any] = {"parameters": parameters, "examples": np.array(examples)}
    for end, values in (("largest", largest), ("smallest", smallest)):
        table |= {
            f"{end}/value": np.array(values),
            f"{end}/residual": np.full(len(values), residual),
            f"{end}/gap": np.array(gaps),
            f"{end}/gap_error": np.full(len(values), residual),
        }
    return {"statistics/deep_learning_limit/augmented/vgg/epoch-300": table}


def spiked(off: float, strengths: tuple[float, ...] = (0.25, 0.5, 1.0, 1.5, 2.0, 4.0)) -> Files:
    strength, ratios = np.array(strengths), np.array([1.0, 100.0])
    scale = np.sqrt(ratios)[:, None]
    prediction = scale * np.where(strength > 1, strength + 1 / strength, 2)
    values = (prediction + 2 * off * scale)[:, None, :, None] + np.zeros((2, 2, 1, 5))
    table = {
        "strengths": strength,
        "ratios": ratios,
        "sizes": np.array([500, 2000]),
        "values": values,
        "corrected": prediction,
        "printed": 1.1 * prediction,
        "thresholds": np.full((2, 2, 3), 1.0),
    }
    return {"ensembles/spiked_goe": table}


def draws(factor: float) -> Files:
    """Batches whose ends lie `factor` times as far out as (18) says."""
    files: Files = {}
    for epoch in ("000", "010", "020"):
        table = {}
        for end, full, predicted in (("largest", 10.0, 10.4), ("smallest", -3.0, -4.3)):
            mean = full + factor * (predicted - full)
            of_end = {"full": full, "mean": mean, "low": mean - 0.01, "high": mean + 0.01}
            of_end["corrected"] = predicted
            table |= {f"{end}/{key}": value for key, value in of_end.items()}
        files[f"statistics/deep_learning_limit/draws/vgg/epoch-{epoch}"] = table
    return files


def law_of_sums(p_value: float, wrong: float = 1e-6, commuting: float = 1e-6) -> Files:
    shape = (2, 3)
    commute = np.full(shape, commuting)
    commute[:, 0] = np.nan  # nothing is added at energy 0
    return {
        "statistics/geometry/fig1": {
            "p_value": np.full(shape, p_value),
            "p_value_wrong_energy": np.full(shape, wrong),
            "p_value_commuting": commute,
            "distance": np.full(shape, 0.01),
        }
    }


def indices(
    off: float = 0.0, limit: float = 1.5, p_value: float = 0.4, wrong: float = 1e-6
) -> Files:
    curve = np.tile(np.linspace(0.1, 0.01, 5), (2, 1))
    return {
        "statistics/geometry/figX1": {
            "curve_ratio": np.linspace(0.1, 0.95, 5),
            "critical_curve": curve,
            "critical_curve_printed": curve * (1 + off),
            "p_value_model": np.array([p_value, 0.5]),
            "p_value_wrong_energy": np.full((2, 3), wrong),
            "limiting_exponent": np.full((2, 3), limit),
            "limiting_exponent_interval": np.full((2, 3, 2), limit) + np.array([-1e-3, 1e-3]),
            "exponent": np.full((2, 3, 5), 1.6),
            "window": np.geomspace(0.01, 1, 5),
        }
    }


def free(distance: float, commuting: float = 10.0) -> Files:
    return {
        "statistics/geometry/fig2": {
            "distance": np.array([0.01, distance]),
            "alone_distance": np.ones(2),
            "commuting_distance": np.full(2, commuting),
            "energy": np.array([0.5, 0.1]),
            "p_value": np.full(2, 0.05),
            "rotated_distances": np.full((2, 20), 0.01),
        }
    }


def residual_law(distance: float) -> Files:
    table: dict[str, Any] = {"hidden": 16, "energy": 50}
    for m, d in ((512, 0.01), (128, distance)):
        table |= {f"{m}/distance": d, f"{m}/p_value": 0.1, f"{m}/null_distances": np.full(9, 0.01)}
    return {"statistics/geometry/fig3": table}


def gaps(power: float) -> Files:
    phi = np.array([0.06, 0.1, 0.2, 0.4, 0.6])
    edge = (1 - np.sqrt(phi)) ** 2
    mean = 0.5 * edge**power
    variance = edge @ mean / np.sum(edge**2)
    return {
        "statistics/geometry/fig5": {
            "phi": phi,
            "gaps": mean[:, None] * np.ones(30),
            "variance": variance,
            "interval": variance * np.array([0.98, 1.02]),
            "chi_squared": 1.0,
        }
    }


def critical_points(
    exponent: float = 1.5, width: float = 0.2, energy_power: float = 2.0, converged: int = 12
) -> Files:
    phi = np.array([0.89, 0.8, 0.67, 0.5, 0.33, 0.25])
    free_fit = np.full((6, 2, 3, 3, 3), np.nan)
    free_fit[:, 0, 1, 2] = [exponent, exponent - width, exponent + width]
    fixed_fit = np.full((6, 2, 3, 3, 3), np.nan)
    fixed_fit[:, 0, 1, 0, 0] = (1 - phi) ** 2 / 2
    return {
        "statistics/geometry/fig6": {
            "phi": phi,
            "free_fit": free_fit,
            "fixed_fit": fixed_fit,
            "drawn_tolerance": 1,
            "minimum_energy": (1 - phi) ** energy_power / 2,
            "minimum_energy_error": np.full(6, 0.001),
            "minimum_runs": np.full(6, 12),
            "minimum_converged": np.full(6, converged),
        }
    }


GOOD_LOCAL = local({}, p_value=0.3, spacing_p=0.3)
AGREE_AND_DISAGREE: dict[str, tuple[Files, Files]] = {
    "U1": (PAPER, paper("vgg", r_squared=[0.9, 0.9, 0.5])),
    "U2": (PAPER, paper("mlp", r_squared=[0.99, 0.99, 0.99])),
    "U3": (PAPER, paper("mlp", r_squared=[0.99, 0.97, 0.6])),
    "U4": (PAPER, paper("wrn", alpha=[3.0, 4.0, 5.0])),
    "U5": (PAPER, paper("wrn", gamma=[1.0, 2.0, 3.0])),
    "U6": (PAPER, paper("wrn", exponent=[0.7, 0.7, 0.7])),
    "U7": (accuracies(), accuracies(wrn=0.7)),
    "U8": (pairs(0.005, 0.3), pairs(0.1, 1e-6)),
    "U9": (graphs(), graphs(shift=0.3)),
    "U10": (complexity((-9, -8), (-5, -4)), complexity((-9, -8), (1, 2))),
    "U11": (noise(), noise(slope=-0.8)),
    "U12": (noise(), noise(p_value=0.001)),
    "U13": (concentration(-1.0), concentration(-0.5)),
    "U14": (PAPER, paper("wrn", r_squared=[0.99, 0.97, 0.93])),
    "U15": (quadrature(12), quadrature(3)),
    "A1": (GOOD_LOCAL, local({}, p_value=0.3, spacing_p=0.01)),
    "A2": (GOOD_LOCAL, local({"signal": 0.02}, p_value=0.01, spacing_p=0.3)),
    "A3": (GOOD_LOCAL, local({"test": 0.03}, p_value=0.3, spacing_p=0.3)),
    "A4": (spectra(heavy_tailed()), spectra(goe())),
    "A5": (processes(0.4), processes(1e-4)),
    "A6": (round_off(0.001), round_off(0.5)),
    "A7": (averages(-0.03, -0.01), averages(0.01, 0.03)),
    "A8": (budgets(), budgets(published="power")),
    "A9": (extreme(0.53, 0.4), extreme(0.49, 0.01)),
    "L1": (augmented((24, 16, 15.7), (-6, -1, -0.7)), augmented((24, 16, 11), (-6, -1, -0.7))),
    "L2": (augmented((24, 16, 15.7), (-6, -1, -0.7)), augmented((24, 16, 15.7), (-6, -1, -1))),
    "L3": (spiked(0.001), spiked(0.1)),
    "L4": (draws(1.2), draws(5.0)),
    "L5": (
        augmented((24, 16, 15.7), (-6, -1, -0.7)),
        augmented((24, 16, 15.7), (-6, -1, -0.7), gaps=(0.2, 0.5, 0.1)),
    ),
    "G1": (law_of_sums(0.5), law_of_sums(1e-4)),
    "G2": (indices(), indices(off=0.01)),
    "G3": (indices(), indices(limit=2.0)),
    "G4": (free(0.05), free(0.6)),
    "G5": (residual_law(0.02), residual_law(0.2)),
    "G6": (gaps(1.0), gaps(2.0)),
    "G7": (critical_points(), critical_points(exponent=2.2)),
    "G8": (critical_points(), critical_points(energy_power=1.0)),
}
# Further evidence that disagrees, each in another part of the rule
DISAGREE = [
    ("U4", paper("wrn", alpha=[0.0, 4.0, 0.1])),
    ("U5", paper("wrn", gamma=[0.05, 3.0, 3.0])),
    ("U6", paper("wrn", exponent=[0.5, 0.5, 0.5])),
    ("U7", accuracies(mlp=0.9)),
    ("U14", paper("vgg", r_squared=[0.99, 0.9, 0.97])),
    ("A2", local({key: -0.14 for key in ("signal", "full")}, p_value=0.3, spacing_p=0.3)),
    ("A3", local({"010": 0.03}, p_value=0.3, spacing_p=0.3)),
    ("A3", local({"full": 0.03}, p_value=0.3, spacing_p=0.3)),
    ("A6", GOOD_LOCAL),
    ("A8", budgets(published="scatter")),
    ("A8", budgets(measured="power")),
    ("A9", extreme(0.39, 0.3)),
    ("L1", augmented((16, 16, 16), (-6, -1, -0.7))),
    ("L1", augmented((16, 24, 24), (-6, -1, -0.7))),
    ("L2", augmented((24, 16, 15.7), (-1, -6, -0.7))),
    ("L4", draws(-0.5)),
    ("L4", draws(0.1)),
    ("G2", indices(p_value=1e-5)),
    ("G4", free(0.1, commuting=0.2)),
]
# Evidence that decides nothing: controls that do not do what they must, too little data
OPEN = [
    ("U8", pairs(0.005, 0.3, control=0.001)),
    ("U10", complexity((-9, -8), (-1, 2))),
    ("U12", noise(blocks=0.5)),
    ("U12", noise(GOE=0.001)),
    ("U13", concentration(-1.0, control=-0.5)),
    ("U15", quadrature(7)),
    ("U15", quadrature(12, residual=3.0)),
    ("A2", {name: {} for name in GOOD_LOCAL}),
    ("A1", local({}, p_value=0.3, spacing_p=0.3, smallest_p=0.2)),
    ("A2", local({"signal": 0.02}, p_value=0.2, spacing_p=0.3, smallest_p=0.2)),
    ("A3", local({}, p_value=0.3, spacing_p=0.3, error=0.05)),
    ("A5", processes(0.4, control=-2.0)),
    ("A7", averages(-0.01, 0.01)),
    ("A8", budgets(measured="scatter")),
    ("A8", budgets(count=5)),
    ("A9", extreme(0.53, 0.4, control=0.4)),
    ("A9", extreme(0.53, 0.4, count=50)),
    ("A9", extreme(0.49, 0.02, smallest_p=0.02)),
    ("L1", augmented((24, 16, 15.7), (-6, -1, -0.7), residual=5.0)),
    ("L1", augmented((24, 16, 15.7), (-6, -1, -0.7), parameters=10_000)),
    ("L2", augmented((24, 16, 15.7), (-6, -1, -0.7), residual=0.4)),
    ("L1", augmented((24, 16, 15.7), (-6, -1, -0.7), examples=(1000, 10_000, 50_000))),
    ("L3", spiked(0.001, strengths=(1.5, 2.0, 3.0))),
    ("L5", augmented((24, 16, 15.7), (-6, -1, -0.7), residual=0.4)),
    ("G1", law_of_sums(0.5, wrong=0.5)),
    ("G1", law_of_sums(0.5, commuting=0.5)),
    ("G2", indices(wrong=0.5)),
    ("G7", critical_points(width=1.0)),
    ("G8", critical_points(converged=2)),
]


def test_every_claim_has_evidence_for_and_against():
    assert set(AGREE_AND_DISAGREE) == set(ALL)
    expected = {"U": 15, "A": 9, "L": 5, "G": 8}
    assert set(ALL) == {f"{k}{i}" for k, n in expected.items() for i in range(1, n + 1)}


@pytest.mark.parametrize("name", ALL)
def test_a_claim_passes_where_it_is_true(name):
    finding = judge(ALL[name], AGREE_AND_DISAGREE[name][0], RUNS)
    assert finding.verdict == REPRODUCED, finding


@pytest.mark.parametrize("name", ALL)
def test_a_claim_fails_where_it_is_false(name):
    finding = judge(ALL[name], AGREE_AND_DISAGREE[name][1], RUNS)
    assert finding.verdict == CONTRADICTED, finding


@pytest.mark.parametrize(("name", "files"), DISAGREE)
def test_every_part_of_a_rule_can_fail(name, files):
    finding = judge(ALL[name], files, RUNS)
    assert finding.verdict == CONTRADICTED, finding


@pytest.mark.parametrize(("name", "files"), OPEN)
def test_without_controls_or_data_nothing_is_decided(name, files):
    finding = judge(ALL[name], files, RUNS)
    assert finding.verdict == UNTESTABLE, finding
    assert len(finding.measured) > 10


@pytest.mark.parametrize("name", ALL)
def test_missing_files_say_what_config_must_name(name):
    finding = judge(ALL[name], {}, {})
    assert finding.verdict == UNTESTABLE
    assert any(figure in finding.measured for figure in ALL[name].figures), finding.measured


def corrupted(files: Files) -> Files:
    """The same with every floating number unknown, as where a fit had too little data."""

    def unknown(value: Any) -> Any:
        if isinstance(value, float):
            return float("nan")
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return np.full_like(value, np.nan)
        if isinstance(value, dict):
            return {key: unknown(each) for key, each in value.items()}
        if isinstance(value, list):
            return [unknown(each) for each in value]
        if isinstance(value, str):
            try:
                float(value)
            except ValueError:
                return value
            return "nan"
        return value

    return {address: unknown(copy.deepcopy(table)) for address, table in files.items()}


@pytest.mark.parametrize("name", ALL)
def test_unknown_numbers_are_no_pass_and_no_failure(name):
    with np.errstate(all="ignore"):
        finding = judge(ALL[name], corrupted(AGREE_AND_DISAGREE[name][0]), RUNS)
    assert finding.verdict == UNTESTABLE, finding


# Stand-ins ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": {"name": "fashion_mnist", "image_size": 16}},
        {"training": {"epochs": 12}},
        {"dataset": {"name": "cifar100", "train_examples": 5000}},
    ],
    ids=str,
)
def test_stand_ins_decide_nothing(change):
    """Claims of all three networks cannot be tested; others are judged by the paper's own alone."""
    small = copy.deepcopy(RUNS)
    for run in ("vgg", "wrn"):
        small[run] |= change
    for evidence in AGREE_AND_DISAGREE["U1"]:
        finding = judge(ALL["U1"], evidence, small)
        assert finding.verdict == UNTESTABLE
        assert "(vgg and wrn: stand-ins)" in finding.measured
    assert judge(ALL["U14"], PAPER, small).verdict == UNTESTABLE
    for claim in ("U5", "U6"):
        assert "VGG" in judge(ALL[claim], PAPER, RUNS).measured
        assert "VGG" not in judge(ALL[claim], PAPER, small).measured
    finding = judge(ALL["U7"], accuracies(vgg=0.9, wrn=0.9), small)
    assert finding.verdict == UNTESTABLE
    assert "VGG and WRN cannot be tested" in finding.measured
    assert judge(ALL["U7"], accuracies(mlp=0.5), small).verdict == CONTRADICTED


@pytest.mark.parametrize("claim", ["L1", "L2", "L4", "L5"])
def test_stand_ins_of_deep_learning_limit_are_named(claim):
    runs = copy.deepcopy(RUNS)
    files = AGREE_AND_DISAGREE[claim][0]
    words = [str(judge(ALL[claim], files, runs))]
    runs["vgg"]["dataset"] = {"name": "fashion_mnist"}
    words.append(str(judge(ALL[claim], files, runs)))
    assert ["(stand-in)" in each for each in words] == [False, True]


def test_networks_of_another_width_are_stand_ins():
    narrow = copy.deepcopy(RUNS)
    narrow["wrn"]["network"]["arguments"] = {"widening": 1}
    assert judge(ALL["U2"], PAPER, narrow).verdict == UNTESTABLE


def test_a_missing_network_is_named():
    files = {name: table for name, table in PAPER.items() if "wrn" not in name}
    for claim in ("U1", "U2", "U14"):
        finding = judge(ALL[claim], files, RUNS)
        assert finding.verdict == UNTESTABLE
        assert "WRN" in finding.measured


def test_other_perceptrons_and_vgg_with_batch_norm_are_no_stand_ins():
    runs = copy.deepcopy(RUNS)
    runs["mlp"]["network"]["arguments"]["hidden"] = [100, 100]
    assert judge(ALL["U3"], PAPER, runs).verdict == UNTESTABLE
    runs = copy.deepcopy(RUNS)
    runs["vgg"]["network"]["arguments"]["batch_norm"] = True
    assert judge(ALL["U1"], PAPER, runs).verdict == UNTESTABLE


# The measures that rules use ----------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_fishers_combination_keeps_its_level(n):
    rng = np.random.default_rng(n)
    combined = [fisher(rng.uniform(size=n)) for _ in range(2000)]
    assert abs(np.mean(np.array(combined) <= 0.05) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 2000)


def test_fishers_combination_of_one_is_itself():
    assert fisher([0.013]) == pytest.approx(0.013, rel=1e-12)


def test_unknown_numbers_are_refused():
    for values in ([], [np.nan], [1.0, np.inf]):
        with pytest.raises(Untestable):
            known(values, "a number")


@pytest.mark.parametrize(
    ("r_squared", "error", "expected"),
    [
        (0.95, 0.05, EXCELLENT),
        (0.949, 0.05, REASONABLE),
        (0.99, 0.051, REASONABLE),
        (0.79, 0.01, POOR),
        (0.99, 0.11, POOR),
    ],
)
def test_grades(r_squared, error, expected):
    assert grade(r_squared, error) == expected


def test_the_nearest_semicircle_is_found_whatever_centre_and_radius():
    levels = (np.arange(2000) + 0.5) / 2000
    x = Semicircle(1.0).quantile(levels)
    for shift, scale in ((0, 1), (5, 0.01), (-3, 100)):
        assert semicircle_distance(shift + scale * x) < 2e-3
    assert semicircle_distance(np.append(x, [50.0, 80.0])) < 5e-3, "outliers do not matter"
    assert semicircle_distance(levels**2) > 0.1


@pytest.mark.parametrize("spikes", [0, 1, 6, 15])
def test_outliers_are_counted(spikes):
    table = quadrature(spikes)["density/wrn/epoch-300/full"]
    first = table["probe"] == 0
    arguments = (table[name][first] for name in ("nodes", "weights", "residuals"))
    assert count_outliers(*arguments) == (spikes, False)


def test_the_distance_to_a_density_is_that_to_its_law():
    from hessian_rmt.claims.free_sums import _distance_to_density

    law, grid = Semicircle(1.0), np.linspace(-2, 2, 4001)
    assert cumulative_trapezoid(law.density(grid), grid)[-1] == pytest.approx(1, abs=1e-4)
    x = law.quantile((np.arange(1000) + 0.5) / 1000)
    assert _distance_to_density(x, grid, law.density(grid)) < 2e-3
    assert _distance_to_density(x + 0.5, grid, law.density(grid)) > 0.1


# Rows of the table --------------------------------------------------------------------------------


@pytest.mark.parametrize("paper_name", CLAIMS)
def test_rows_are_complete(paper_name):
    rows = verdicts(paper_name, "smoke", {}, {})
    assert [row["id"] for row in rows] == [claim.id for claim in CLAIMS[paper_name]]
    for row in rows:
        assert list(row) == list(COLUMNS)
        assert row["verdict"] in VERDICTS
        assert row["scale"] == "smoke"
        assert all(row[name] for name in COLUMNS if name != "evidence")
        assert len(row["rule"]) > 80, "a rule is a sentence with its thresholds"
        assert row["rule"].endswith((".", ".)"))


def test_the_library_of_claims_reads_no_files():
    import hessian_rmt.claims.verdicts as module

    names = {name for name in vars(module) if "storage" in name or "h5py" in name}
    assert not names
