"""Local statistics of exact spectra: spacings, ratios, and their tests against the GOE."""


rule local_statistics:
    input:
        reduced=reduced_spectra,
        plain=plain_spectra,
        full=full_spectrum,
        library=library("local_statistics.py"),
    output:
        statistics="results/{scale}/statistics/applicability/local/{run}/epoch-{epoch}/{part}.h5",
        table="results/{scale}/statistics/applicability/local/{run}/epoch-{epoch}/{part}.csv",
    log:
        "results/{scale}/logs/statistics/applicability/local/{run}/epoch-{epoch}/{part}.log",
    benchmark:
        "results/{scale}/benchmarks/statistics/applicability/local/{run}/epoch-{epoch}/{part}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        runtime=minutes,
    params:
        replicates=config["local_tests"]["replicates"],
        seed=config["seed"],
    script:
        "../scripts/local_statistics.py"


rule rigidity:
    input:
        reduced=reduced_spectra,
        plain=plain_spectra,
        library=library("rigidity.py"),
    output:
        statistics="results/{scale}/statistics/applicability/rigidity/{run}/epoch-{epoch}/{part}.h5",
    log:
        "results/{scale}/logs/statistics/applicability/rigidity/{run}/epoch-{epoch}/{part}.log",
    benchmark:
        "results/{scale}/benchmarks/statistics/applicability/rigidity/{run}/epoch-{epoch}/{part}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        runtime=minutes,
    params:
        replicates=config["local_tests"]["replicates"],
        seed=config["seed"],
    script:
        "../scripts/rigidity.py"
