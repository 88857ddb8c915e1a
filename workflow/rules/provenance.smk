"""Where all results come from, in one table: `snakemake provenance`, after everything else."""


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
