"""Figures: each writes pdf, png and the plotted numbers as csv, and reads no checkpoint."""


rule universality_fig1:
    input:
        tables=outlier_tables(FIG1_RUNS),
        fits=outlier_fits_of(FIG1_RUNS),
        library=library("universality_outliers.py"),
    output:
        **figure_files("universality", "fig1"),
    log:
        "results/{scale}/logs/figures/universality/fig1.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        rows=labelled_rows(FIG1["rows"]),
        outliers=FIG1["outliers"],
    script:
        "../scripts/universality_outliers.py"


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


rule universality_figX1:
    input:
        statistics=noise_statistics_of(FIGX1["rows"]),
        library=library("universality_figX1.py"),
    output:
        **figure_files("universality", "figX1"),
    log:
        "results/{scale}/logs/figures/universality/figX1.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        labels=labelled_epochs(FIGX1["rows"]),
    script:
        "../scripts/universality_figX1.py"


rule universality_figX2:
    input:
        statistics=noise_statistics_of(FIGX2["rows"]),
        tables=noise_tables(FIGX2["rows"]),
        library=library("universality_figX2.py"),
    output:
        **figure_files("universality", "figX2"),
    log:
        "results/{scale}/logs/figures/universality/figX2.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        labels=labelled_epochs(FIGX2["rows"]),
    script:
        "../scripts/universality_figX2.py"


rule universality_figX3:
    input:
        statistics="results/{scale}/ensembles/concentration.h5",
        library=library("universality_figX3.py"),
    output:
        **figure_files("universality", "figX3"),
    log:
        "results/{scale}/logs/figures/universality/figX3.log",
    conda:
        "../../envs/analysis.yaml"
    script:
        "../scripts/universality_figX3.py"


rule universality_tableX1:
    input:
        spectra=sum(density_files(TABLEX1["rows"]), []),
        noise=noise_tables(TABLEX1["noise"]),
        library=library("universality_tableX1.py"),
    output:
        table=report(
            "results/{scale}/tables/universality/tableX1.csv",
            caption="../report/universality_tableX1.rst",
            category="universality",
        ),
    log:
        "results/{scale}/logs/tables/universality/tableX1.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        cells=complexity_cells(TABLEX1["rows"]),
        noise=complexity_noise(TABLEX1["noise"]),
    script:
        "../scripts/universality_tableX1.py"


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


for figure in ("fig3", "fig4"):

    rule:
        name:
            f"applicability_{figure}"
        input:
            statistics=[
                local_statistics_file(row)
                for row in APPLICABILITY.get(figure, NO_ROWS)["rows"]
            ],
            library=library("applicability_local.py"),
        output:
            **figure_files("applicability", figure),
        log:
            f"results/{{scale}}/logs/figures/applicability/{figure}.log",
        conda:
            "../../envs/analysis.yaml"
        params:
            labels=labelled_cells(APPLICABILITY.get(figure, NO_ROWS)["rows"]),
        script:
            "../scripts/applicability_local.py"


rule applicability_fig5:
    input:
        statistics="results/{scale}/ensembles/gaussian_process.h5",
        library=library("applicability_fig5.py"),
    output:
        **figure_files("applicability", "fig5"),
    log:
        "results/{scale}/logs/figures/applicability/fig5.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        settings=config["gaussian_process"],
    script:
        "../scripts/applicability_fig5.py"


rule applicability_fig6:
    input:
        statistics="results/{scale}/ensembles/gaussian_process.h5",
        library=library("applicability_fig6.py"),
    output:
        **figure_files("applicability", "fig6"),
    log:
        "results/{scale}/logs/figures/applicability/fig6.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        settings=config["gaussian_process"],
    script:
        "../scripts/applicability_fig6.py"


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


rule applicability_figX1:
    input:
        statistics=[
            rigidity_file(row) for row in APPLICABILITY.get("figX1", NO_ROWS)["rows"]
        ],
        library=library("applicability_figX1.py"),
    output:
        **figure_files("applicability", "figX1"),
    log:
        "results/{scale}/logs/figures/applicability/figX1.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        labels=labelled_cells(APPLICABILITY.get("figX1", NO_ROWS)["rows"]),
    script:
        "../scripts/applicability_figX1.py"


rule applicability_tableX1:
    input:
        spectra=solver_files(APPLICABILITY.get("tableX1", NO_ROWS)["rows"]),
        library=library("applicability_tableX1.py"),
    output:
        table=report(
            "results/{scale}/tables/applicability/tableX1.csv",
            caption="../report/applicability_tableX1.rst",
            category="applicability",
        ),
    log:
        "results/{scale}/logs/tables/applicability/tableX1.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        rows=labelled_rows(APPLICABILITY.get("tableX1", NO_ROWS)["rows"]),
    script:
        "../scripts/applicability_tableX1.py"


rule geometry_fig1:
    input:
        statistics="results/{scale}/statistics/geometry/fig1.h5",
        library=library("geometry_fig1.py"),
    output:
        **figure_files("geometry", "fig1"),
    log:
        "results/{scale}/logs/figures/geometry/fig1.log",
    conda:
        "../../envs/analysis.yaml"
    script:
        "../scripts/geometry_fig1.py"


rule geometry_figX1:
    input:
        statistics="results/{scale}/statistics/geometry/figX1.h5",
        library=library("geometry_figX1.py"),
    output:
        **figure_files("geometry", "figX1"),
    log:
        "results/{scale}/logs/figures/geometry/figX1.log",
    conda:
        "../../envs/analysis.yaml"
    script:
        "../scripts/geometry_figX1.py"


rule applicability_figX2:
    input:
        statistics=[
            extreme_statistics_file(row)
            for row in APPLICABILITY.get("figX2", NO_ROWS)["rows"]
        ],
        library=library("applicability_figX2.py"),
    output:
        **figure_files("applicability", "figX2"),
    log:
        "results/{scale}/logs/figures/applicability/figX2.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        labels=[
            f"{label_of(row['run'])}, epoch {row['epoch']}"
            for row in APPLICABILITY.get("figX2", NO_ROWS)["rows"]
        ],
    script:
        "../scripts/applicability_figX2.py"


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


rule deep_learning_limit_fig1:
    input:
        statistics=limit_statistics("fig1", "draws"),
        library=library("deep_learning_limit_boxes.py"),
    output:
        **figure_files("deep_learning_limit", "fig1"),
    log:
        "results/{scale}/logs/figures/deep_learning_limit/fig1.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        rows=labelled_rows(limit_rows("fig1")),
        end="smallest",
    script:
        "../scripts/deep_learning_limit_boxes.py"


rule deep_learning_limit_fig2:
    input:
        statistics=limit_statistics("fig2", "draws"),
        library=library("deep_learning_limit_boxes.py"),
    output:
        **figure_files("deep_learning_limit", "fig2"),
    log:
        "results/{scale}/logs/figures/deep_learning_limit/fig2.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        rows=labelled_rows(limit_rows("fig2")),
        end="largest",
    script:
        "../scripts/deep_learning_limit_boxes.py"


rule deep_learning_limit_fig3:
    input:
        spectra=limit_spectra("fig3"),
        library=library("deep_learning_limit_stems.py"),
    output:
        **figure_files("deep_learning_limit", "fig3"),
    log:
        "results/{scale}/logs/figures/deep_learning_limit/fig3.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        rows=labelled_rows(limit_rows("fig3")),
    script:
        "../scripts/deep_learning_limit_stems.py"


rule deep_learning_limit_fig4:
    input:
        spectra=limit_spectra("fig4"),
        library=library("deep_learning_limit_stems.py"),
    output:
        **figure_files("deep_learning_limit", "fig4"),
    log:
        "results/{scale}/logs/figures/deep_learning_limit/fig4.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        rows=labelled_rows(limit_rows("fig4")),
    script:
        "../scripts/deep_learning_limit_stems.py"


rule deep_learning_limit_fig5:
    input:
        spectra=limit_spectra("fig5"),
        library=library("deep_learning_limit_stems.py"),
    output:
        **figure_files("deep_learning_limit", "fig5"),
    log:
        "results/{scale}/logs/figures/deep_learning_limit/fig5.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        rows=labelled_rows(limit_rows("fig5")),
    script:
        "../scripts/deep_learning_limit_stems.py"


rule deep_learning_limit_fig6:
    input:
        spectra=limit_spectra("fig6"),
        library=library("deep_learning_limit_stems.py"),
    output:
        **figure_files("deep_learning_limit", "fig6"),
    log:
        "results/{scale}/logs/figures/deep_learning_limit/fig6.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        rows=labelled_rows(limit_rows("fig6")),
    script:
        "../scripts/deep_learning_limit_stems.py"


rule deep_learning_limit_table1:
    input:
        statistics=limit_statistics("table1", "augmented"),
        library=library("deep_learning_limit_table1.py"),
    output:
        table=report(
            "results/{scale}/tables/deep_learning_limit/table1.csv",
            caption="../report/deep_learning_limit_table1.rst",
            category="deep_learning_limit",
        ),
    log:
        "results/{scale}/logs/tables/deep_learning_limit/table1.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        rows=labelled_rows(limit_rows("table1")),
    script:
        "../scripts/deep_learning_limit_table1.py"


rule deep_learning_limit_figX1:
    input:
        statistics="results/{scale}/ensembles/spiked_goe.h5",
        library=library("deep_learning_limit_figX1.py"),
    output:
        **figure_files("deep_learning_limit", "figX1"),
    log:
        "results/{scale}/logs/figures/deep_learning_limit/figX1.log",
    conda:
        "../../envs/analysis.yaml"
    script:
        "../scripts/deep_learning_limit_figX1.py"


rule universality_figA:
    input:
        spectra=whole_spectra,
        library=library("universality_figA.py"),
    output:
        **figure_files("universality", "figA-{run}"),
    log:
        "results/{scale}/logs/figures/universality/figA-{run}.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        labels=whole_spectra_labels,
    script:
        "../scripts/universality_figA.py"


rule applicability_fig7:
    input:
        statistics="results/{scale}/statistics/applicability/fig7.h5",
        library=library("applicability_fig7.py"),
    output:
        **figure_files("applicability", "fig7"),
    log:
        "results/{scale}/logs/figures/applicability/fig7.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        learning_rates=learning_rates_of(FIG7),
        label=family_caption("fig7"),
    script:
        "../scripts/applicability_fig7.py"


rule applicability_fig8:
    input:
        statistics="results/{scale}/statistics/applicability/fig8.h5",
        library=library("applicability_fig8.py"),
    output:
        **figure_files("applicability", "fig8"),
    log:
        "results/{scale}/logs/figures/applicability/fig8.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        label=family_caption("fig8"),
    script:
        "../scripts/applicability_fig8.py"


rule applicability_figX3:
    input:
        statistics="results/{scale}/statistics/applicability/figX3.h5",
        library=library("applicability_figX3.py"),
    output:
        **figure_files("applicability", "figX3"),
    log:
        "results/{scale}/logs/figures/applicability/figX3.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        learning_rates=learning_rates_of(FIGX3),
        label=family_caption("figX3"),
    script:
        "../scripts/applicability_figX3.py"
