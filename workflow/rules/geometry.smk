"""Geometry of loss surfaces (`geometry`): laws, index curves, critical points."""


rule geometry_densities:
    input:
        library=library("geometry_densities.py"),
    output:
        statistics="results/{scale}/statistics/geometry/fig1.h5",
    log:
        "results/{scale}/logs/statistics/geometry/fig1.log",
    benchmark:
        "results/{scale}/benchmarks/statistics/geometry/fig1.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        runtime=minutes,
    params:
        settings=geometry_settings("fig1"),
    script:
        "../scripts/geometry_densities.py"


rule geometry_indices:
    input:
        library=library("geometry_indices.py"),
    output:
        statistics="results/{scale}/statistics/geometry/figX1.h5",
    log:
        "results/{scale}/logs/statistics/geometry/figX1.log",
    benchmark:
        "results/{scale}/benchmarks/statistics/geometry/figX1.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        runtime=minutes,
    params:
        settings=geometry_settings("figX1"),
    script:
        "../scripts/geometry_indices.py"


rule critical_points:
    input:
        library=library("critical_points.py"),
    output:
        table="results/{scale}/geometry/critical/{arm}/examples-{examples}/runs-{first}-{last}.h5",
    log:
        "results/{scale}/logs/geometry/critical/{arm}/examples-{examples}/runs-{first}-{last}.log",
    benchmark:
        "results/{scale}/benchmarks/geometry/critical/{arm}/examples-{examples}/runs-{first}-{last}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        runtime=minutes,
    params:
        settings=critical_settings,
        state="results/{scale}/geometry/critical/.state/{arm}-{examples}-{first}-{last}.h5",
    script:
        "../scripts/critical_points.py"


rule critical_fits:
    input:
        **critical_files(),
        library=library("critical_fits.py"),
    output:
        statistics="results/{scale}/statistics/geometry/fig6.h5",
        table="results/{scale}/statistics/geometry/fig6.csv",
    log:
        "results/{scale}/logs/statistics/geometry/fig6.log",
    benchmark:
        "results/{scale}/benchmarks/statistics/geometry/fig6.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        runtime=minutes,
    params:
        settings=GEOMETRY.get("fig6"),
        seed=config["seed"],
    script:
        "../scripts/critical_fits.py"


rule autoencoder_spectra:
    input:
        data=image_files,
        library=library("autoencoder_spectra.py"),
    output:
        statistics="results/{scale}/statistics/geometry/{figure}.h5",
    log:
        "results/{scale}/logs/statistics/geometry/{figure}.log",
    benchmark:
        "results/{scale}/benchmarks/statistics/geometry/{figure}.tsv"
    wildcard_constraints:
        figure="fig[2-5]",
    conda:
        "../../envs/analysis.yaml"
    resources:
        runtime=minutes,
    params:
        settings=autoencoder_settings,
        images=image_settings,
        data_folder=image_folder,
    script:
        "../scripts/autoencoder_spectra.py"
