"""Exact spectra of small networks: of batches, reduced and plain, and of a whole split."""


rule exact:
    input:
        checkpoint=checkpoint_of_epoch,
        data=data_files,
        network=network_module,
        library=library("exact.py"),
    output:
        table="results/{scale}/exact/{run}/epoch-{epoch}/{part}/{spectra}.h5",
    log:
        "results/{scale}/logs/exact/{run}/epoch-{epoch}/{part}/{spectra}.log",
    benchmark:
        "results/{scale}/benchmarks/exact/{run}/epoch-{epoch}/{part}/{spectra}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: run_threads
    resources:
        mem_mb=exact_memory_mb,
        runtime=minutes,
        gpu=run_gpus,
    params:
        settings=exact_settings,
        data_folder=data_folder,
    script:
        "../scripts/exact.py"


rule noise:
    input:
        checkpoint=checkpoint_of_epoch,
        data=data_files,
        network=network_module,
        library=library("noise.py"),
    output:
        table="results/{scale}/exact/{run}/epoch-{epoch}/noise.h5",
    log:
        "results/{scale}/logs/exact/{run}/epoch-{epoch}/noise.log",
    benchmark:
        "results/{scale}/benchmarks/exact/{run}/epoch-{epoch}/noise.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: run_threads
    resources:
        mem_mb=noise_memory_mb,
        runtime=minutes,
        gpu=run_gpus,
    params:
        settings=noise_settings,
        data_folder=data_folder,
    script:
        "../scripts/noise.py"


rule noise_statistics:
    input:
        table="results/{scale}/exact/{run}/epoch-{epoch}/noise.h5",
        fits="results/{scale}/statistics/universality/outliers-{run}.h5",
        library=library("noise_statistics.py"),
    output:
        statistics="results/{scale}/statistics/universality/noise/{run}/epoch-{epoch}.h5",
    log:
        "results/{scale}/logs/statistics/universality/noise/{run}/epoch-{epoch}.log",
    benchmark:
        "results/{scale}/benchmarks/statistics/universality/noise/{run}/epoch-{epoch}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        runtime=minutes,
    params:
        replicates=config["local_tests"]["replicates"],
        seed=config["seed"],
    script:
        "../scripts/noise_statistics.py"
