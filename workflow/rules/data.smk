"""Public data sets, into data/{dataset}; npz files are the user's own and have no rule."""

for dataset in KNOWN:

    rule:
        name:
            f"fetch_{dataset}"
        input:
            library=library("fetch_data.py"),
        output:
            expand("data/{dataset}/{file}", dataset=dataset, file=files_of(dataset)),
        params:
            dataset=dataset,
            folder=f"data/{dataset}",
        log:
            f"results/logs/fetch-{dataset}.log",
        conda:
            "../../envs/torch.yaml"
        script:
            "../scripts/fetch_data.py"
