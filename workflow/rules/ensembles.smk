"""Random-matrix ensembles: spectra of sums against free convolutions. No networks here."""


rule ensembles:
    input:
        library=library("ensembles.py"),
    output:
        statistics="results/{scale}/ensembles/{sums}.h5",
    log:
        "results/{scale}/logs/ensembles/{sums}.log",
    benchmark:
        "results/{scale}/benchmarks/ensembles/{sums}.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        settings=ensemble_settings,
    script:
        "../scripts/ensembles.py"


rule concentration:
    input:
        library=library("concentration.py"),
    output:
        statistics="results/{scale}/ensembles/concentration.h5",
    log:
        "results/{scale}/logs/ensembles/concentration.log",
    benchmark:
        "results/{scale}/benchmarks/ensembles/concentration.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        settings=concentration_settings,
    script:
        "../scripts/concentration.py"
