"""A whole run in one table and one picture: `snakemake provenance`, `snakemake timeline`."""


rule provenance:
    input:
        results=rules.all.input,
        library=library("provenance.py"),
    output:
        table=f"{RESULTS}/provenance.csv",
    log:
        f"{RESULTS}/logs/provenance.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        folder=folder_of_output,
    script:
        "../scripts/provenance.py"


rule timeline:
    input:
        results=rules.all.input,
        library=library("timeline.py"),
    output:
        **{suffix: f"{RESULTS}/timeline.{suffix}" for suffix in ("pdf", "png", "csv")},
    log:
        f"{RESULTS}/logs/timeline.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        logs=f"{RESULTS}/logs",
    script:
        "../scripts/timeline.py"
