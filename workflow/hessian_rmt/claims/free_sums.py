"""Rules of U8 and U9 (`universality` 3.3): sums of matrices against the free convolution."""

import numpy as np

from hessian_rmt.claims.claim import Finding, Table, Untestable, decide, known, span

FAR = 0.02  # Kolmogorov's distance that can be seen in a plot
LEVEL = 0.01
EXCHANGES = 199


def pair_sums(table: Table) -> Finding:
    """The rule of U8, on the arrays of `rmt.sums.sum_of_pairs`."""
    names = sorted({name.split("/")[0] for name in table})
    controls = [name for name in names if "diagonal" in name]
    pairs = [name for name in names if name not in controls]
    distance, p = (
        {name: float(known(table[f"{name}/{key}"], f"{key} of {name}")) for name in names}
        for key in ("distance", "p_value")
    )
    measured = (
        f"distance of {len(pairs)} pairs {span([distance[name] for name in pairs])}, smallest p "
        f"{min(p[name] for name in pairs):.2g}; control {distance[controls[0]]:.2g}, p = "
        f"{p[controls[0]]:.1g}."
    )
    if not all(distance[name] > FAR and p[name] <= LEVEL for name in controls):
        raise Untestable(f"the control is not rejected: {measured}")
    wrong = [name for name in pairs if distance[name] > FAR and p[name] <= LEVEL / len(pairs)]
    if wrong:
        measured += f" Disagreeing: {', '.join(wrong)}."
    smallest = min(1.0, len(pairs) * min(p[name] for name in pairs))
    return decide(not wrong, measured, f"smallest p, Bonferroni: {smallest:.2g}")


def graph_sums(table: Table) -> Finding:
    """The rule of U9, on the arrays of `rmt.sums.sum_with_graphs`."""
    degrees = sorted({int(name.split("/")[0]) for name in table})
    holds, controls, words, p_values = [], [], [], []
    for degree in degrees:
        spectra = {
            name: _bulk(table[f"{degree}/{name}/eigenvalues"])
            for name in ("GOE", "UWig", "Wish", "UWish")
        }
        for gaussian, uniform in (("GOE", "UWig"), ("Wish", "UWish")):
            apart, p = _two_samples(spectra[gaussian], spectra[uniform])
            holds.append(apart <= FAR or p > LEVEL)
            p_values.append(p)
            words.append(f"d = {degree}, {uniform} and {gaussian} {apart:.3f} apart, p = {p:.2g}")
        to_law = _distance_to_density(
            spectra["GOE"].ravel(), table[f"{degree}/grid"], table[f"{degree}/density"]
        )
        holds.append(to_law <= FAR)
        words[-1] += f", GOE and law {to_law:.3f}"
        apart, p = _two_samples(spectra["GOE"], spectra["Wish"])
        controls.append(apart > FAR and p <= LEVEL)
    measured = "; ".join(words) + "."
    if not all(controls):
        raise Untestable(f"the control is not rejected: {measured}")
    return decide(all(holds), measured, f"smallest p of an exchange {min(p_values):.2g}")


def _bulk(eigenvalues: np.ndarray) -> np.ndarray:
    """(samples, n - 3): without the graph's trivial eigenvalue, the mean's, and the smallest."""
    return np.sort(np.asarray(eigenvalues, float), axis=1)[:, 1:-2]


def _two_samples(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Kolmogorov's distance of the pooled spectra (M, n) each, and p by exchanging matrices."""
    together = np.concatenate([first, second])
    grid = np.sort(together.ravel())[:: max(1, together.size // 2000)]
    below = np.stack([np.searchsorted(row, grid, side="right") for row in together])
    below = below / together.shape[1]
    m = len(first)

    def distance(rows: np.ndarray) -> float:
        return float(np.max(np.abs(rows[:m].mean(0) - rows[m:].mean(0))))

    rng = np.random.default_rng(0)
    found = distance(below)
    null = [distance(below[rng.permutation(len(below))]) for _ in range(EXCHANGES)]
    return found, (1 + sum(each >= found for each in null)) / (1 + EXCHANGES)


def _distance_to_density(values: np.ndarray, grid: np.ndarray, density: np.ndarray) -> float:
    """Kolmogorov's distance of `values` to the law with `density` on `grid`."""
    steps = np.diff(grid) * (density[1:] + density[:-1]) / 2
    cdf = np.concatenate([[0.0], np.cumsum(steps)])
    x = np.sort(values)
    expected = np.interp(x, grid, cdf / cdf[-1], 0, 1)
    above = np.arange(1, len(x) + 1) / len(x) - expected
    return float(max(above.max(), (1 / len(x) - above).max()))
