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
    params:
        settings=exact_settings,
        data_folder=data_folder,
    script:
        "../scripts/exact.py"
