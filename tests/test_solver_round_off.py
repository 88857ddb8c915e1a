"""Round-off by eigensolver: all solvers agree on the signal, and the table tells the rest apart."""

import io

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hessian_rmt.curvature.solvers import SOLVERS, spectra_by_solver
from hessian_rmt.errors import UserError
from hessian_rmt.jobs import Log
from hessian_rmt.networks.mlp import mlp
from hessian_rmt.rmt.local_tests import goe_eigenvalues
from hessian_rmt.rmt.solver_round_off import COLUMNS, round_off_rows


@pytest.fixture(scope="module")
def spectra():
    torch.manual_seed(0)
    network = mlp((30,), 4, hidden=(8, 8))
    x, y = torch.randn(10, 30), torch.arange(10) % 4
    return spectra_by_solver(network, F.cross_entropy, x, y, Log(io.StringIO()), memory_mb=100)


def test_solvers_agree_to_their_precision(spectra):
    assert list(spectra["solver"]) == list(SOLVERS)
    reference = spectra["eigenvalues"][0]
    P, norm = len(reference), np.abs(reference).max()
    for solver, eigenvalues in zip(spectra["solver"], spectra["eigenvalues"], strict=True):
        eps = np.finfo(np.float32 if "single" in solver else np.float64).eps
        np.testing.assert_allclose(
            eigenvalues, reference, rtol=0, atol=P * eps * norm, err_msg=solver
        )
        assert (np.diff(eigenvalues) >= 0).all()


def test_what_is_no_signal_is_tiny(spectra):
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in round_off_rows(spectra)]
    norm = np.abs(spectra["eigenvalues"][0]).max()
    for row in rows:
        eps = np.finfo(np.float32 if "single" in row["solver"] else np.float64).eps
        assert 0 < row["largest_round_off"] < row["parameters"] * eps * norm
        assert 0 < row["signal"] < row["passing_cut"] <= row["parameters"]
        assert row["round_off_share"] == pytest.approx(1 - row["signal"] / row["passing_cut"])


def test_the_table_tells_planted_round_off_from_signal():
    """Poisson round-off on GOE signal, seven orders of magnitude apart, and exact zeros."""
    rng = np.random.default_rng(1)
    signal = goe_eigenvalues(1000, rng)
    noise = rng.uniform(-1e-9, 1e-9, 2000)
    eigenvalues = np.sort(np.concatenate([signal, noise, np.zeros(300)]))
    (row,) = round_off_rows(
        {"solver": np.array(["planted"]), "eigenvalues": eigenvalues[None], "signal": 1000}
    )
    found = dict(zip(COLUMNS, row, strict=True))
    assert (found["parameters"], found["passing_cut"]) == (3300, 3000)
    assert found["round_off_share"] == pytest.approx(2 / 3)
    assert found["round_off_low"] < 2 * np.log(2) - 1 < found["round_off_high"]
    assert found["signal_low"] < 0.5307 < found["signal_high"]
    assert abs(found["round_off_z_goe"]) > 8
    assert found["round_off_mean_bounded_ratio"] < found["cut_mean_bounded_ratio"]
    assert found["cut_mean_bounded_ratio"] < found["signal_mean_bounded_ratio"]


def test_too_few_ratios_have_no_mean():
    rows = round_off_rows(
        {"solver": np.array(["few"]), "eigenvalues": np.arange(1.0, 31.0)[None], "signal": 25}
    )
    found = dict(zip(COLUMNS, next(rows), strict=True))
    assert np.isnan(found["round_off_mean_bounded_ratio"])
    assert np.isfinite(found["signal_mean_bounded_ratio"])


def test_a_hessian_too_large_is_refused():
    network = mlp((30,), 4, hidden=(8, 8))
    x, y = torch.randn(10, 30), torch.arange(10) % 4
    with pytest.raises(UserError, match="Lanczos"):
        spectra_by_solver(network, F.cross_entropy, x, y, Log(io.StringIO()), memory_mb=1)
