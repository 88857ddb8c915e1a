"""What claims and the front page are made of: files of the figures that config asks for."""

from hessian_rmt.claims.captions import captions

PAPERS = [
    paper
    for paper in (
        "universality",
        "applicability",
        "deep_learning_limit",
        "geometry",
    )
    if paper in config["figures"]
]
VERDICTS = [f"{RESULTS}/claims/{paper}.json" for paper in PAPERS]


def rows_of(paper, *figures):
    """The rows of a paper's figures, those that config asks for; one for each run of `runs`."""
    asked = [config["figures"][paper].get(figure, {}) for figure in figures]
    return [
        row
        for settings in asked
        for row in settings.get("rows", [])
        + [{"run": run} for run in settings.get("runs", [])]
    ]


def asked_for(paper, *figures):
    return any(figure in config["figures"][paper] for figure in figures)


def end_epochs(run):
    epochs = config["runs"][run]["checkpoints"]
    return list(dict.fromkeys([epochs[0], epochs[-1]]))


def evidence_of_universality():
    paper, statistics = "universality", f"{RESULTS}/statistics/universality"
    fitted = [row["run"] for row in rows_of(paper, "fig1", "fig2", "fig3", "atlas")]
    files = outlier_fits_of(fitted)
    files += [f"{RESULTS}/checkpoints/{run}/training.csv" for run in fitted]
    files += noise_statistics_of(rows_of(paper, "figX1", "figX2"))
    files += [
        f"{RESULTS}/density/{row['run']}/epoch-{epoch:03d}/full.h5"
        for row in rows_of(paper, "figA")
        for epoch in end_epochs(row["run"])
    ]
    for figure, file in (
        ("fig4", "ensembles/pairs.h5"),
        ("fig5", "ensembles/graphs.h5"),
        ("figX3", "ensembles/concentration.h5"),
        ("tableX1", "tables/universality/tableX1.csv"),
    ):
        files += [f"{RESULTS}/{file}"] if asked_for(paper, figure) else []
    return files


def evidence_of_applicability():
    paper = "applicability"
    cells = rows_of(paper, "fig3", "fig4") + [
        {"run": row["run"], "epoch": epoch, "part": part}
        for row in rows_of(paper, "figS")
        for epoch in end_epochs(row["run"])
        for part in ("train", "test")
    ]
    files = [local_statistics_file(cell) for cell in cells]
    files += [file for files in density_files(rows_of(paper, "fig1")) for file in files]
    files += [extreme_statistics_file(row) for row in rows_of(paper, "figX2")]
    for figures, file in (
        (("fig5", "fig6"), "ensembles/gaussian_process.h5"),
        (("fig7",), "statistics/applicability/fig7.h5"),
        (("fig8",), "statistics/applicability/fig8.h5"),
        (("tableX1",), "tables/applicability/tableX1.csv"),
    ):
        files += [f"{RESULTS}/{file}"] if asked_for(paper, *figures) else []
    return files


def evidence_of_deep_learning_limit():
    paper, files = "deep_learning_limit", []
    for figures, what in ((("fig1", "fig2"), "draws"), (("table1",), "augmented")):
        files += [
            f"{RESULTS}/statistics/{paper}/{what}/{row['run']}/epoch-{row['epoch']:03d}.h5"
            for row in rows_of(paper, *figures)
        ]
    files += [f"{RESULTS}/ensembles/spiked_goe.h5"] if asked_for(paper, "figX1") else []
    return files


def evidence_of_geometry():
    figures = config["figures"]["geometry"]
    return [f"{RESULTS}/statistics/geometry/{figure}.h5" for figure in figures]


def claim_evidence(wildcards):
    """What the figures that config asks for are made of: claims add no computation of their own."""
    files = {
        "universality": evidence_of_universality,
        "applicability": evidence_of_applicability,
        "deep_learning_limit": evidence_of_deep_learning_limit,
        "geometry": evidence_of_geometry,
    }[wildcards.paper]()
    return list(dict.fromkeys(files))


def claim_runs(wildcards):
    """What tells the paper's own networks from stand-ins, of the runs in a paper's figures."""
    settings = config["figures"][wildcards.paper]
    names = {row["run"] for row in rows_of(wildcards.paper, *settings)}
    return {
        name: {
            "dataset": config["runs"][name]["dataset"],
            "network": config["runs"][name]["network"],
            "training": {"epochs": config["runs"][name]["training"]["epochs"]},
        }
        for name in sorted(names)
    }


def claim_figures(wildcards):
    return list(config["figures"][wildcards.paper])


def shown_figures():
    """The front page's pictures and tables, in the order of config."""
    files = [file for paper in PAPERS for file in figures_of(paper)]
    return [file for file in files if file.endswith(".png") or "/tables/" in file]
