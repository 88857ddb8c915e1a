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
    params:
        settings=geometry_settings("figX1"),
    script:
        "../scripts/geometry_indices.py"
