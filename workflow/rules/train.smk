"""Checkpoints, one job per segment from the previous configured epoch's, and what they embed."""


rule initialise:
    input:
        data=data_files,
        network=network_module,
        library=library("initialise.py"),
    output:
        checkpoint="results/{scale}/checkpoints/{run}/epoch-000.pt",
        digest="results/{scale}/checkpoints/{run}/epoch-000.pt.sha256",
        history="results/{scale}/checkpoints/{run}/epoch-000.csv",
    log:
        "results/{scale}/logs/checkpoints/{run}/epoch-000.log",
    benchmark:
        "results/{scale}/benchmarks/checkpoints/{run}/epoch-000.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: run_threads
    resources:
        mem_mb=run_memory_mb,
        runtime=minutes,
        gpu=run_gpus,
    params:
        settings=training_settings,
        data_folder=data_folder,
    script:
        "../scripts/initialise.py"


rule train:
    input:
        previous=previous_checkpoint,
        data=data_files,
        network=network_module,
        library=library("train.py"),
    output:
        checkpoint="results/{scale}/checkpoints/{run}/epoch-{epoch}.pt",
        digest="results/{scale}/checkpoints/{run}/epoch-{epoch}.pt.sha256",
        history="results/{scale}/checkpoints/{run}/epoch-{epoch}.csv",
    log:
        "results/{scale}/logs/checkpoints/{run}/epoch-{epoch}.log",
    benchmark:
        "results/{scale}/benchmarks/checkpoints/{run}/epoch-{epoch}.tsv"
    wildcard_constraints:
        epoch=r"(?!000)\d{3}",
    conda:
        "../../envs/torch.yaml"
    threads: run_threads
    resources:
        mem_mb=run_memory_mb,
        runtime=minutes,
        gpu=run_gpus,
    params:
        settings=training_settings,
        data_folder=data_folder,
        state="results/{scale}/checkpoints/{run}/.state/epoch-{epoch}.pt",
    script:
        "../scripts/train.py"


rule training_table:
    input:
        history=last_history,
        library=library("training_table.py"),
    output:
        table="results/{scale}/checkpoints/{run}/training.csv",
    log:
        "results/{scale}/logs/checkpoints/{run}/training.log",
    conda:
        "../../envs/analysis.yaml"
    script:
        "../scripts/training_table.py"


rule embeddings:
    input:
        checkpoint=checkpoint_of_epoch,
        data=data_files,
        network=network_module,
        library=library("embeddings.py"),
    output:
        features="results/{scale}/embeddings/{run}/epoch-{epoch}.h5",
    log:
        "results/{scale}/logs/embeddings/{run}/epoch-{epoch}.log",
    benchmark:
        "results/{scale}/benchmarks/embeddings/{run}/epoch-{epoch}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: run_threads
    resources:
        mem_mb=run_memory_mb,
        runtime=minutes,
        gpu=run_gpus,
    params:
        settings=training_settings,
        data_folder=data_folder,
    script:
        "../scripts/embeddings.py"
