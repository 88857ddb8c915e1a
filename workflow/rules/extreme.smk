"""Outermost eigenvalues of large networks: one drawn batch per job, and their statistics."""


rule extreme:
    input:
        checkpoint=checkpoint_of_epoch,
        data=data_files,
        network=network_module,
        library=library("extreme.py"),
    output:
        table="results/{scale}/extreme/{run}/epoch-{epoch}/{sample}.h5",
    log:
        "results/{scale}/logs/extreme/{run}/epoch-{epoch}/{sample}.log",
    benchmark:
        "results/{scale}/benchmarks/extreme/{run}/epoch-{epoch}/{sample}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: run_threads
    resources:
        mem_mb=extreme_memory_mb,
        runtime=minutes,
        gpu=run_gpus,
    params:
        settings=extreme_settings,
        data_folder=data_folder,
    script:
        "../scripts/extreme.py"


rule extreme_statistics:
    input:
        spectra=extreme_spectra,
        library=library("extreme_statistics.py"),
    output:
        statistics="results/{scale}/statistics/applicability/extreme/{run}/epoch-{epoch}.h5",
        table="results/{scale}/statistics/applicability/extreme/{run}/epoch-{epoch}.csv",
    log:
        "results/{scale}/logs/statistics/applicability/extreme/{run}/epoch-{epoch}.log",
    benchmark:
        "results/{scale}/benchmarks/statistics/applicability/extreme/{run}/epoch-{epoch}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        runtime=minutes,
    params:
        replicates=config["local_tests"]["replicates"],
        seed=config["seed"],
    script:
        "../scripts/extreme_statistics.py"
