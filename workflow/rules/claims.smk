"""Claims: a verdict for each from the statistics of the figures, one table, and the front page."""


rule claims:
    input:
        evidence=claim_evidence,
        library=library("claims.py"),
    output:
        verdicts="results/{scale}/claims/{paper}.json",
    log:
        "results/{scale}/logs/claims/{paper}.log",
    benchmark:
        "results/{scale}/benchmarks/claims/{paper}.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        runs=claim_runs,
        figures=claim_figures,
    script:
        "../scripts/claims.py"


rule claims_table:
    input:
        verdicts=VERDICTS,
        library=library("claims_table.py"),
    output:
        table=report(
            "results/{scale}/claims.csv",
            caption="../report/claims.rst",
            category="claims",
        ),
        text="results/{scale}/claims.md",
    log:
        "results/{scale}/logs/claims.log",
    conda:
        "../../envs/analysis.yaml"
    script:
        "../scripts/claims_table.py"


rule front_page:
    input:
        verdicts=VERDICTS,
        figures=shown_figures(),
        template="workflow/report/index.html",
        library=library("front_page.py"),
    output:
        page="results/{scale}/index.html",
    log:
        "results/{scale}/logs/index.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        shown=shown_figures(),
        captions=captions(config),
    script:
        "../scripts/front_page.py"
