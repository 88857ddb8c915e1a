"""Random-matrix ensembles: sums against free convolutions, Gaussian processes. No networks here."""


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
    resources:
        runtime=minutes,
    params:
        settings=ensemble_settings,
    script:
        "../scripts/ensembles.py"


rule gaussian_process:
    input:
        library=library("gaussian_process.py"),
    output:
        statistics="results/{scale}/ensembles/gaussian_process.h5",
    log:
        "results/{scale}/logs/ensembles/gaussian_process.log",
    benchmark:
        "results/{scale}/benchmarks/ensembles/gaussian_process.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        runtime=minutes,
    params:
        settings=config["gaussian_process"],
        replicates=config["local_tests"]["replicates"],
        seed=config["seed"],
    script:
        "../scripts/gaussian_process.py"


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
    resources:
        runtime=minutes,
    params:
        settings=concentration_settings,
    script:
        "../scripts/concentration.py"
