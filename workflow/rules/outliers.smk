"""Outliers of batch Hessians: by epoch, batch size or seed, merged into one table per run."""


def outlier_settings(wildcards):
    """What the numbers depend on; where the grid is cut into jobs is not part of it."""
    settings = run_settings(
        config, wildcards.run, "dataset", "network", "training", "curvature", "compute"
    )
    settings["curvature"] = {
        k: v for k, v in settings["curvature"].items() if k != "job_per"
    }
    return settings


def checkpoint_of_unit(wildcards):
    epoch = wildcards.unit[: len("epoch-000")]
    return f"{RESULTS}/checkpoints/{wildcards.run}/{epoch}.pt"


def units_of_run(wildcards):
    """The files that a run's grid is cut into, as `job_per` says."""
    run = config["runs"][wildcards.run]
    curvature = run["curvature"]
    patterns = {
        "epoch": "epoch-{epoch:03d}",
        "batch_size": "epoch-{epoch:03d}/batch-{batch_size:06d}",
        "seed": "epoch-{epoch:03d}/batch-{batch_size:06d}/seed-{seed:02d}",
    }
    units = [
        patterns[curvature["job_per"]].format(
            epoch=epoch, batch_size=batch_size, seed=seed
        )
        for epoch in run["checkpoints"]
        for batch_size in curvature["batch_sizes"]
        for seed in range(curvature["seeds"])
    ]
    folder = f"{RESULTS}/outliers/{wildcards.run}"
    return [f"{folder}/{unit}.h5" for unit in dict.fromkeys(units)]


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
        mem_mb=run_memory_mb,
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
    params:
        seed=config["seed"],
        fits=config["outlier_fits"],
    script:
        "../scripts/outlier_fits.py"
