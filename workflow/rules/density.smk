"""Spectral densities by Lanczos quadrature: whole and augmented training splits, drawn batches."""


rule density:
    input:
        checkpoint=checkpoint_of_epoch,
        data=data_files,
        network=network_module,
        smaller=smaller_sample,
        library=library("density.py"),
    output:
        table="results/{scale}/density/{run}/epoch-{epoch}/{sample}.h5",
    log:
        "results/{scale}/logs/density/{run}/epoch-{epoch}/{sample}.log",
    benchmark:
        "results/{scale}/benchmarks/density/{run}/epoch-{epoch}/{sample}.tsv"
    wildcard_constraints:
        sample=r"full|augmented-(?!000)\d{3}|draw-(?!000000)\d{6}-\d{2}",
    conda:
        "../../envs/torch.yaml"
    threads: run_threads
    resources:
        mem_mb=density_memory_mb,
        runtime=minutes,
        gpu=run_gpus,
    params:
        settings=density_settings,
        data_folder=data_folder,
    script:
        "../scripts/density.py"


rule density_draws:
    input:
        full="results/{scale}/density/{run}/epoch-{epoch}/full.h5",
        draws=draws_of_epoch,
        library=library("density_draws.py"),
    output:
        statistics="results/{scale}/statistics/deep_learning_limit/draws/{run}/epoch-{epoch}.h5",
        table="results/{scale}/statistics/deep_learning_limit/draws/{run}/epoch-{epoch}.csv",
    log:
        "results/{scale}/logs/statistics/deep_learning_limit/draws/{run}/epoch-{epoch}.log",
    benchmark:
        "results/{scale}/benchmarks/statistics/deep_learning_limit/draws/{run}/epoch-{epoch}.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        seed=config["seed"],
    script:
        "../scripts/density_draws.py"


rule density_augmented:
    input:
        full="results/{scale}/density/{run}/epoch-{epoch}/full.h5",
        augmented=augmented_of_epoch,
        draws=draws_of_epoch,
        library=library("density_augmented.py"),
    output:
        statistics="results/{scale}/statistics/deep_learning_limit/augmented/{run}/epoch-{epoch}.h5",
        table="results/{scale}/statistics/deep_learning_limit/augmented/{run}/epoch-{epoch}.csv",
    log:
        "results/{scale}/logs/statistics/deep_learning_limit/augmented/{run}/epoch-{epoch}.log",
    benchmark:
        "results/{scale}/benchmarks/statistics/deep_learning_limit/augmented/{run}/epoch-{epoch}.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        seed=config["seed"],
    script:
        "../scripts/density_augmented.py"


rule spiked_goe:
    input:
        library=library("spiked_goe.py"),
    output:
        statistics="results/{scale}/ensembles/spiked_goe.h5",
        table="results/{scale}/statistics/deep_learning_limit/figX1.csv",
    log:
        "results/{scale}/logs/ensembles/spiked_goe.log",
    benchmark:
        "results/{scale}/benchmarks/ensembles/spiked_goe.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        runtime=minutes,
    params:
        settings=spiked_settings(),
    script:
        "../scripts/spiked_goe.py"
