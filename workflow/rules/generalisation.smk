"""Tail averages and training budgets (`applicability` section 8): statistics of whole trainings."""


rule averaging_statistics:
    input:
        tables=training_tables(FIG7),
        library=library("averaging_statistics.py"),
    output:
        statistics="results/{scale}/statistics/applicability/fig7.h5",
        table="results/{scale}/statistics/applicability/fig7.csv",
    log:
        "results/{scale}/logs/statistics/applicability/fig7.log",
    benchmark:
        "results/{scale}/benchmarks/statistics/applicability/fig7.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        arms=[member.arm for member in FIG7],
        reference=APPLICABILITY.get("fig7", {}).get("reference"),
        averaged=APPLICABILITY.get("fig7", {}).get("averaged"),
        data=family_caption("fig7"),
        seed=config["seed"],
    script:
        "../scripts/averaging_statistics.py"


rule budget_statistics:
    input:
        tables=training_tables(FIG8),
        library=library("budget_statistics.py"),
    output:
        statistics="results/{scale}/statistics/applicability/fig8.h5",
        table="results/{scale}/statistics/applicability/fig8.csv",
    log:
        "results/{scale}/logs/statistics/applicability/fig8.log",
    benchmark:
        "results/{scale}/benchmarks/statistics/applicability/fig8.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        runtime=minutes,
    params:
        budgets=[member.epochs for member in FIG8],
        bootstrap=APPLICABILITY.get("fig8", {}).get("bootstrap"),
        data=family_caption("fig8"),
        seed=config["seed"],
    script:
        "../scripts/budget_statistics.py"


rule iterates:
    input:
        checkpoints=iterate_checkpoints,
        data=data_files,
        network=network_module,
        library=library("iterates.py"),
    output:
        table="results/{scale}/iterates/{run}.h5",
    log:
        "results/{scale}/logs/iterates/{run}.log",
    benchmark:
        "results/{scale}/benchmarks/iterates/{run}.tsv"
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
        examples=FIGX3_SETTINGS.get("examples"),
        block=FIGX3_SETTINGS.get("block"),
    script:
        "../scripts/iterates.py"


rule averaging_theorems:
    input:
        tables=iterate_tables(FIGX3),
        library=library("averaging_theorems.py"),
    output:
        statistics="results/{scale}/statistics/applicability/figX3.h5",
        table="results/{scale}/statistics/applicability/figX3.csv",
    log:
        "results/{scale}/logs/statistics/applicability/figX3.log",
    benchmark:
        "results/{scale}/benchmarks/statistics/applicability/figX3.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        runtime=minutes,
    params:
        arms=[member.arm for member in FIGX3],
        quadratic=QUADRATIC,
        data=family_caption("figX3"),
        seed=config["seed"],
    script:
        "../scripts/averaging_theorems.py"
