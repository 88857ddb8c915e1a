"""Claims of `geometry`: laws of the Hessian, indices, critical points."""

import numpy as np

from hessian_rmt.claims.claim import (
    Evidence,
    Finding,
    Untestable,
    claim,
    decide,
    fisher,
    known,
    span,
)

LEVEL = 0.01
MODELS = ("simplified", "refined")
UP_TO = 0.9  # phi; nearer one, (32) cancels all digits of a double
FREE = 0.2  # of what H1 does to the spectrum
FAR = 0.05  # Kolmogorov's distance
MINIMUM = 0.02  # in units in which phi = 0 has the energy 1/2


@claim(
    "G1",
    statement="(18) gives the density of Wishart + Wigner matrices.",
    where="section 4.1, figure 1",
    rule="Green functions of sampled matrices, extrapolated in 1/N, against the cubic's root: "
    "Fisher's combination of all phi and energies is above 0.01; contradicted otherwise. Not "
    "testable unless both controls are rejected (combined p <= 0.01): an energy a tenth too "
    "large, and commuting matrices with the same two spectra.",
    figures=("fig1",),
)
def wishart_plus_wigner(evidence: Evidence) -> Finding:
    table = evidence.one("statistics/geometry/fig1", "fig1 of geometry")
    p = fisher(np.ravel(table["p_value"]))
    controls = {}
    for name in ("wrong_energy", "commuting"):
        values = np.ravel(table[f"p_value_{name}"])
        controls[name] = fisher(values[np.isfinite(values)])
    measured = (
        f"{np.size(table['p_value'])} densities, Kolmogorov's distance "
        f"{span(table['distance'], 2)}; controls: wrong energy p = {controls['wrong_energy']:.1g}, "
        f"commuting p = {controls['commuting']:.1g}."
    )
    if max(controls.values()) > LEVEL:
        raise Untestable(f"a control is not rejected: {measured}")
    return decide(p > LEVEL, measured, f"combined p = {p:.2g}")


@claim(
    "G2",
    statement="The critical energy is (21), and (32) for the refined model.",
    where="(21), (32)",
    rule="For phi up to 0.9 the printed formulas equal the energy where K = K' = 0 for the law's "
    "inverse Stieltjes transform K, derived again and free of cancellation, to 1e-6; and indices "
    "of sampled matrices agree with the curves that start there (combined p > 0.01 in both "
    "models). Contradicted otherwise; not testable unless an energy a tenth too large is "
    "rejected by the samples of each model.",
    figures=("figX1",),
)
def critical_energies(evidence: Evidence) -> Finding:
    table = evidence.one("statistics/geometry/figX1", "figX1 of geometry")
    phi = np.asarray(table["curve_ratio"]) <= UP_TO
    exact = known(table["critical_curve"], "the critical energy")[:, phi]
    printed = known(table["critical_curve_printed"], "the printed energy")[:, phi]
    apart = np.max(np.abs(printed / exact - 1), axis=1)
    p = known(table["p_value_model"], "a p-value")
    control = [fisher(row) for row in table["p_value_wrong_energy"]]
    measured = (
        f"largest relative difference {apart[0]:.1g} (21), {apart[1]:.1g} (32); sampled indices p "
        f"= {p[0]:.2g} and {p[1]:.2g}, with a wrong energy {control[0]:.1g} and {control[1]:.1g}."
    )
    if max(control) > LEVEL:
        raise Untestable(f"a control is not rejected: {measured}")
    return decide(bool(apart.max() <= 1e-6 and p.min() > LEVEL), measured, f"p = {p.min():.2g}")


@claim(
    "G3",
    statement="The index grows with exponent 3/2 in both models.",
    where="(20), (31)",
    rule="For both models and every phi the exponent at the critical energy, from the exact "
    "index with its next two orders, is 3/2 to 0.01 or within its own interval; contradicted "
    "otherwise. What a free power law gives in windows of finite width is reported.",
    figures=("figX1",),
)
def three_halves(evidence: Evidence) -> Finding:
    table = evidence.one("statistics/geometry/figX1", "figX1 of geometry")
    limit = known(table["limiting_exponent"], "the exponent")
    interval = known(table["limiting_exponent_interval"], "its interval")
    free = known(table["exponent"], "a fitted exponent")
    inside = (interval[..., 0] <= 1.5) & (interval[..., 1] >= 1.5)
    holds = np.all(inside | (np.abs(limit - 1.5) <= 0.01))
    windows = np.asarray(table["window"])
    measured = "; ".join(
        f"{model}: limit {span(limit[i], 5)}, free fit up to epsilon = {1 + windows[0]:g} "
        f"epsilon_c {span(free[i, :, 0])}, up to {1 + windows[-1]:g} {span(free[i, :, -1])}"
        for i, model in enumerate(MODELS)
    )
    return decide(
        bool(holds), measured + ".", f"widest interval {np.ptp(interval, axis=-1).max():.2g}"
    )


@claim(
    "G4",
    statement="H0 and H1 are free to good approximation.",
    where="section 5.2.1, figure 2",
    rule="At every energy the spectrum of H0 + H1 is closer to that of H0 + Q H1 Q^T than a "
    "fifth of what H1 moves it by (mean distance of ordered eigenvalues, against H0 alone), and "
    "closer than a fifth of what commuting parts with the same spectra would give; contradicted "
    "where it is not. Whether they are free exactly is told by the p-value among rotations.",
    figures=("fig2",),
)
def freeness(evidence: Evidence) -> Finding:
    table = evidence.one("statistics/geometry/fig2", "fig2 of geometry")
    distance, alone, commuting, energy, p = (
        known(table[name], name)
        for name in ("distance", "alone_distance", "commuting_distance", "energy", "p_value")
    )
    shares = np.stack([distance / alone, distance / commuting])
    rotated = np.mean(table["rotated_distances"], axis=-1) / alone
    measured = (
        "distance over H1's own effect (over commuting parts'; of one rotation from the others): "
        + ", ".join(
            f"energy {e:.3g}: {a:.2f} ({b:.2f}; {c:.2f})"
            for e, a, b, c in zip(energy, *shares, rotated, strict=True)
        )
        + "."
    )
    return decide(bool(np.all(shares <= FREE)), measured, f"exactly free: p {span(p, 2)}")


@claim(
    "G5",
    statement="(28) describes the spectrum of H1.",
    where="section 6.1, figure 3",
    rule="At every phi the Kolmogorov distance of H1's eigenvalues from the law of (28) is at "
    "most 0.05; contradicted where it is more. The p-value tells whether images are further from "
    "the law than normal inputs of the same size.",
    figures=("fig3",),
)
def residual_part(evidence: Evidence) -> Finding:
    table = evidence.one("statistics/geometry/fig3", "fig3 of geometry")
    examples = [name.removesuffix("/distance") for name in table if name.endswith("/distance")]
    distance, p = (
        known([table[f"{m}/{name}"] for m in examples], name) for name in ("distance", "p_value")
    )
    words = [
        f"phi = 2 n / {m}: {distance[i]:.3f} (normal inputs "
        f"{np.mean(table[f'{m}/null_distances']):.3f})"
        for i, m in enumerate(examples)
    ]
    measured = "distance at " + "; ".join(words) + "."
    return decide(bool(distance.max() <= FAR), measured, f"p {span(p, 2)}")


@claim(
    "G6",
    statement="The gap of H0 scales like the Marchenko-Pastur edge.",
    where="section 6.2, figure 5",
    rule="With one fitted variance the edge explains the mean gaps over phi < 1 with R^2 >= 0.9, "
    "and the slope of log gap against log edge, over the means, is 1 to a quarter; contradicted "
    "where one does not hold, not testable with fewer than four phi.",
    figures=("fig5",),
)
def spectral_gap(evidence: Evidence) -> Finding:
    table = evidence.one("statistics/geometry/fig5", "fig5 of geometry")
    phi = np.asarray(table["phi"], float)
    gaps = known(table["gaps"], "a gap")[phi < 1]
    phi = phi[phi < 1]
    if len(phi) < 4:
        raise Untestable(f"there are {len(phi)} phi below 1, and four are needed")
    mean, edge = gaps.mean(axis=1), (1 - np.sqrt(phi)) ** 2
    rest = mean - float(table["variance"]) * edge
    r_squared = 1 - np.sum(rest**2) / np.sum((mean - mean.mean()) ** 2)
    slope = float(np.polyfit(np.log(edge), np.log(mean), 1)[0])
    low, high = table["interval"]
    measured = (
        f"R^2 {r_squared:.3f}, slope {slope:.3f} over {len(phi)} phi ({span(phi)}); gap over edge "
        f"{span(mean / edge, 2)}; chi^2 per degree of freedom {float(table['chi_squared']):.3g}."
    )
    return decide(
        bool(r_squared >= 0.9 and abs(slope - 1) <= 0.25),
        measured,
        f"variance {float(table['variance']):.3f} [{low:.3f}, {high:.3f}]",
    )


@claim(
    "G7",
    statement="Empirical critical points follow the 3/2 law for small index.",
    where="section 6.4, figure 6a",
    rule="Free exponents fitted to critical points up to the first of the configured indices: a "
    "phi counts where the 95 % interval excludes 1 or 2. Reproduced where 3/2 lies inside the "
    "interval at two thirds or more of those phi; contradicted otherwise; not testable with "
    "fewer than three.",
    figures=("fig6",),
)
def empirical_exponents(evidence: Evidence) -> Finding:
    table = evidence.one("statistics/geometry/fig6", "fig6 of geometry")
    fit = np.asarray(table["free_fit"])[:, 0, int(table["drawn_tolerance"]), 2]
    fitted = np.all(np.isfinite(fit), axis=1)
    counts = fitted & ~((fit[:, 1] <= 1) & (fit[:, 2] >= 2))
    inside = (fit[:, 1] <= 1.5) & (fit[:, 2] >= 1.5)
    words = [
        f"{phi:.3g}: {p:.2f} [{low:.2f}, {high:.2f}]"
        for phi, (p, low, high) in zip(table["phi"], fit, strict=True)
    ]
    measured = f"exponents by phi, {', '.join(words)}."
    if counts.sum() < 3:
        raise Untestable(
            f"at {counts.sum()} phi only is the exponent known well enough: {measured}"
        )
    share = f"3/2 inside at {(inside & counts).sum()} of {counts.sum()} phi"
    return decide(bool(inside[counts].mean() >= 2 / 3), measured, share)


@claim(
    "G8",
    statement="Minimisers of tanh networks have the energy (1 - phi)^2 / 2.",
    where="section 6.4, figure 6b",
    rule="The root mean square over phi of mean energy of minimisers minus (1 - phi)^2 / 2 is at "
    "most 0.02, and below that to (1 - phi) / 2; contradicted otherwise, not testable where "
    "fewer than half of the descents converge. Fitted critical energies, which the paper shows, "
    "are reported beside it.",
    figures=("fig6",),
)
def minimisers(evidence: Evidence) -> Finding:
    table = evidence.one("statistics/geometry/fig6", "fig6 of geometry")
    phi = np.asarray(table["phi"], float)
    energy, error = (
        known(table[name], "the energy of minimisers")
        for name in ("minimum_energy", "minimum_energy_error")
    )
    converged = np.sum(table["minimum_converged"]) / np.sum(table["minimum_runs"])
    to_quadratic, to_linear = (
        float(np.sqrt(np.mean((energy - law) ** 2))) for law in ((1 - phi) ** 2 / 2, (1 - phi) / 2)
    )
    fitted = np.asarray(table["fixed_fit"])[:, 0, int(table["drawn_tolerance"]), 0, 0]
    off = np.sqrt(np.nanmean((fitted - (1 - phi) ** 2 / 2) ** 2))
    measured = (
        f"root mean square from (1 - phi)^2 / 2 {to_quadratic:.3f}, from (1 - phi) / 2 "
        f"{to_linear:.3f}, {len(phi)} phi ({span(phi)}); largest single difference "
        f"{np.max(np.abs(energy - (1 - phi) ** 2 / 2)):.3f}; fitted critical energies {off:.3f}; "
        f"{100 * converged:.0f} % of descents converged."
    )
    if converged < 0.5:
        raise Untestable(measured)
    holds = to_quadratic <= MINIMUM and to_quadratic < to_linear
    return decide(holds, measured, f"standard errors of the means {span(error, 2)}")


CLAIMS = (
    wishart_plus_wigner,
    critical_energies,
    three_halves,
    freeness,
    residual_part,
    spectral_gap,
    empirical_exponents,
    minimisers,
)
