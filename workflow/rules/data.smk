"""Public data sets, into data/{dataset}; npz files are the user's own and have no rule."""


def data_folder_of_output(wildcards, output):
    """data/{dataset}; a data set's files may lie in a folder of their own below it."""
    return os.path.join(*output[0].split("/")[:2])


for dataset in KNOWN:

    rule:
        name:
            f"fetch_{dataset}"
        input:
            library=library("fetch_data.py"),
        output:
            # update(): Snakemake would delete what a user has put there by hand
            [update(f"data/{dataset}/{file}") for file in files_of(dataset)],
        log:
            f"results/logs/fetch-{dataset}.log",
        conda:
            "../../envs/torch.yaml"
        params:
            dataset=dataset,
            folder=data_folder_of_output,
        script:
            "../scripts/fetch_data.py"
