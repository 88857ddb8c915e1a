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


rule autoencoder_spectra:
    input:
        data=image_files,
        library=library("autoencoder_spectra.py"),
    output:
        statistics="results/{scale}/statistics/geometry/{spectra}.h5",
    log:
        "results/{scale}/logs/statistics/geometry/{spectra}.log",
    benchmark:
        "results/{scale}/benchmarks/statistics/geometry/{spectra}.tsv"
    wildcard_constraints:
        spectra="fig[2-5]",
    conda:
        "../../envs/analysis.yaml"
    params:
        settings=spectra_settings,
        images=image_settings,
        data_folder=image_folder,
    script:
        "../scripts/autoencoder_spectra.py"
