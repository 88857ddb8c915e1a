"""Exact spectra of small networks: batches of a split, reduced ("batches") and plain ("plain")."""


rule exact:
    input:
        checkpoint=checkpoint_of_epoch,
        data=data_files,
        network=network_module,
        library=library("exact.py"),
    output:
        table="results/{scale}/exact/{run}/epoch-{epoch}/{part}/{path}-{first}-{last}.h5",
    log:
        "results/{scale}/logs/exact/{run}/epoch-{epoch}/{part}/{path}-{first}-{last}.log",
    benchmark:
        "results/{scale}/benchmarks/exact/{run}/epoch-{epoch}/{part}/{path}-{first}-{last}.tsv"
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
