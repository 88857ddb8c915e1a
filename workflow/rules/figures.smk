"""Figures: each writes pdf, png and the plotted numbers as csv, and reads no checkpoint."""


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


rule universality_fig4:
    input:
        statistics="results/{scale}/ensembles/pairs.h5",
        library=library("universality_fig4.py"),
    output:
        **figure_files("universality", "fig4"),
    log:
        "results/{scale}/logs/figures/universality/fig4.log",
    conda:
        "../../envs/analysis.yaml"
    script:
        "../scripts/universality_fig4.py"


rule universality_fig5:
    input:
        statistics="results/{scale}/ensembles/graphs.h5",
        library=library("universality_fig5.py"),
    output:
        **figure_files("universality", "fig5"),
    log:
        "results/{scale}/logs/figures/universality/fig5.log",
    conda:
        "../../envs/analysis.yaml"
    script:
        "../scripts/universality_fig5.py"


rule applicability_fig1:
    input:
        spectra=sum(density_files(APPLICABILITY.get("fig1", NO_ROWS)["rows"]), []),
        library=library("applicability_fig1.py"),
    output:
        **figure_files("applicability", "fig1"),
    log:
        "results/{scale}/logs/figures/applicability/fig1.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        files=density_files(APPLICABILITY.get("fig1", NO_ROWS)["rows"]),
        labels=labelled_cells(APPLICABILITY.get("fig1", NO_ROWS)["rows"]),
        seed=config["seed"],
    script:
        "../scripts/applicability_fig1.py"


rule applicability_fig2:
    input:
        library=library("applicability_fig2.py"),
    output:
        **figure_files("applicability", "fig2"),
    log:
        "results/{scale}/logs/figures/applicability/fig2.log",
    conda:
        "../../envs/analysis.yaml"
    script:
        "../scripts/applicability_fig2.py"


rule applicability_fig4:
    input:
        statistics=[
            local_statistics_file(row)
            for row in APPLICABILITY.get("fig4", NO_ROWS)["rows"]
        ],
        library=library("applicability_local.py"),
    output:
        **figure_files("applicability", "fig4"),
    log:
        "results/{scale}/logs/figures/applicability/fig4.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        labels=labelled_cells(APPLICABILITY.get("fig4", NO_ROWS)["rows"]),
    script:
        "../scripts/applicability_local.py"


rule applicability_figS:
    input:
        statistics=grid_statistics,
        library=library("applicability_local.py"),
    output:
        **figure_files("applicability", "figS-{run}"),
    log:
        "results/{scale}/logs/figures/applicability/figS-{run}.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        labels=grid_labels,
    script:
        "../scripts/applicability_local.py"


rule geometry_fig2:
    input:
        statistics="results/{scale}/statistics/geometry/fig2.h5",
        library=library("geometry_spectra.py"),
    output:
        **figure_files("geometry", "fig2"),
    log:
        "results/{scale}/logs/figures/geometry/fig2.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        dataset=geometry_setting("fig2", "dataset"),
        settings=GEOMETRY.get("fig2"),
    script:
        "../scripts/geometry_spectra.py"


rule geometry_fig3:
    input:
        statistics="results/{scale}/statistics/geometry/fig3.h5",
        library=library("geometry_spectra.py"),
    output:
        **figure_files("geometry", "fig3"),
    log:
        "results/{scale}/logs/figures/geometry/fig3.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        dataset=geometry_setting("fig3", "dataset"),
        settings=GEOMETRY.get("fig3"),
    script:
        "../scripts/geometry_spectra.py"


rule geometry_fig4:
    input:
        statistics="results/{scale}/statistics/geometry/fig4.h5",
        library=library("geometry_spectra.py"),
    output:
        **figure_files("geometry", "fig4"),
    log:
        "results/{scale}/logs/figures/geometry/fig4.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        dataset=geometry_setting("fig4", "dataset"),
        settings=GEOMETRY.get("fig4"),
    script:
        "../scripts/geometry_spectra.py"


rule geometry_fig5:
    input:
        statistics="results/{scale}/statistics/geometry/fig5.h5",
        library=library("geometry_spectra.py"),
    output:
        **figure_files("geometry", "fig5"),
    log:
        "results/{scale}/logs/figures/geometry/fig5.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        dataset=geometry_setting("fig5", "dataset"),
        settings=GEOMETRY.get("fig5"),
    script:
        "../scripts/geometry_spectra.py"


rule geometry_fig6:
    input:
        statistics="results/{scale}/statistics/geometry/fig6.h5",
        library=library("geometry_fig6.py"),
    output:
        **figure_files("geometry", "fig6"),
    log:
        "results/{scale}/logs/figures/geometry/fig6.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        runs=GEOMETRY.get("fig6", {}).get("newton_runs"),
    script:
        "../scripts/geometry_fig6.py"
