"""Outliers of batch Hessians: by epoch, batch size or seed, merged into one table per run."""


rule outliers:
    input:
        checkpoint=checkpoint_of_unit,
        data=data_files,
        network=network_module,
        library=library("outliers.py"),
    output:
        table="results/{scale}/outliers/{run}/{unit}.h5",
    log:
        "results/{scale}/logs/outliers/{run}/{unit}.log",
    benchmark:
        "results/{scale}/benchmarks/outliers/{run}/{unit}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: run_threads
    resources:
        mem_mb=outlier_memory_mb,
        runtime=minutes,
        gpu=run_gpus,
    params:
        settings=outlier_settings,
        data_folder=data_folder,
    script:
        "../scripts/outliers.py"


rule merge_outliers:
    input:
        units=units_of_run,
        library=library("merge_outliers.py"),
    output:
        table="results/{scale}/outliers/{run}.h5",
    log:
        "results/{scale}/logs/outliers/{run}.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        settings=outlier_settings,
    script:
        "../scripts/merge_outliers.py"


rule outlier_fits:
    input:
        table="results/{scale}/outliers/{run}.h5",
        library=library("outlier_fits.py"),
    output:
        fits="results/{scale}/statistics/universality/outliers-{run}.h5",
        table="results/{scale}/statistics/universality/outliers-{run}.csv",
    log:
        "results/{scale}/logs/statistics/universality/outliers-{run}.log",
    benchmark:
        "results/{scale}/benchmarks/statistics/universality/outliers-{run}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        runtime=minutes,
    params:
        seed=config["seed"],
        fits=config["outlier_fits"],
    script:
        "../scripts/outlier_fits.py"
