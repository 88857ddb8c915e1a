"""Figures: each writes pdf, png and the plotted numbers as csv, and reads no checkpoint."""


def outlier_tables(runs):
    return [f"{RESULTS}/outliers/{run}.h5" for run in runs]


def outlier_fits_of(runs):
    return [f"{RESULTS}/statistics/universality/outliers-{run}.h5" for run in runs]


def label_of(run):
    return config["runs"][run].get("label", run)


def labelled_rows(rows):
    return [dict(row, label=label_of(row["run"])) for row in rows]


# Figures without settings here are not part of this scale.
FIG2 = (
    config["figures"].get("universality", {}).get("fig2", {"rows": [], "outliers": []})
)
FIG2_RUNS = [row["run"] for row in FIG2["rows"]]
FIG3_RUNS = config["figures"].get("universality", {}).get("fig3", {"runs": []})["runs"]


def atlas_rows(wildcards):
    epochs = config["runs"][wildcards.run]["checkpoints"]
    return labelled_rows({"run": wildcards.run, "epoch": epoch} for epoch in epochs)


def atlas_tables(wildcards):
    return outlier_tables(row["run"] for row in atlas_rows(wildcards))


def atlas_fits(wildcards):
    return outlier_fits_of(row["run"] for row in atlas_rows(wildcards))


def atlas_outliers(wildcards):
    k = config["runs"][wildcards.run]["curvature"]["outliers"]
    return list(range(1, k + 1))


rule universality_fig2:
    input:
        tables=outlier_tables(FIG2_RUNS),
        fits=outlier_fits_of(FIG2_RUNS),
        library=library("universality_outliers.py"),
    output:
        **figure_files("universality", "fig2"),
    log:
        "results/{scale}/logs/figures/universality/fig2.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        rows=labelled_rows(FIG2["rows"]),
        outliers=FIG2["outliers"],
    script:
        "../scripts/universality_outliers.py"


rule universality_fig3:
    input:
        tables=outlier_tables(FIG3_RUNS),
        fits=outlier_fits_of(FIG3_RUNS),
        library=library("universality_fig3.py"),
    output:
        **figure_files("universality", "fig3"),
    log:
        "results/{scale}/logs/figures/universality/fig3.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        runs=FIG3_RUNS,
        labels=[label_of(run) for run in FIG3_RUNS],
    script:
        "../scripts/universality_fig3.py"


rule universality_atlas:
    input:
        tables=atlas_tables,
        fits=atlas_fits,
        library=library("universality_outliers.py"),
    output:
        **figure_files("universality", "atlas-{run}"),
    log:
        "results/{scale}/logs/figures/universality/atlas-{run}.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        rows=atlas_rows,
        outliers=atlas_outliers,
    script:
        "../scripts/universality_outliers.py"
