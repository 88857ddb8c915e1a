"""Public data sets, into data/{dataset}; npz files are the user's own and have no rule."""

for dataset in KNOWN:

    rule:
        name:
            f"fetch_{dataset}"
        output:
            # update(): Snakemake would delete what a user has put there by hand
            [update(f"data/{dataset}/{file}") for file in files_of(dataset)],
        log:
            f"results/logs/fetch-{dataset}.log",
        # nodes of a cluster often reach no server outside
        localrule: True
        conda:
            "../../envs/torch.yaml"
        params:
            dataset=dataset,
            folder=data_folder_of_output,
        script:
            "../scripts/fetch_data.py"


rule index_imagenet:
    input:
        library=library("index_images.py"),
    output:
        index="data/imagenet/index.csv",
    log:
        "results/logs/index-imagenet.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        runtime=minutes,
    script:
        "../scripts/index_images.py"
