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
