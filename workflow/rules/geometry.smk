"""Geometry of loss surfaces (`geometry`): laws, index curves, critical points."""


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
    params:
        settings=GEOMETRY.get("fig6"),
        seed=config["seed"],
    script:
        "../scripts/critical_fits.py"
