"""Random-matrix theory of neural-network Hessians: every figure and table of four papers."""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/outliers.smk"
include: "workflow/rules/exact.smk"
include: "workflow/rules/extreme.smk"
include: "workflow/rules/density.smk"
include: "workflow/rules/spacings.smk"
include: "workflow/rules/ensembles.smk"
include: "workflow/rules/geometry.smk"
include: "workflow/rules/generalisation.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/evidence.smk"
include: "workflow/rules/claims.smk"


report: "workflow/report/workflow.rst"


onstart:
    # With its limit of jobs per second, Snakemake 9.27 looks at all waiting jobs again each second,
    # once for every job that has ended so far: after a few hundred that takes a core. Limits that
    # somebody sets are kept.
    limiter = getattr(workflow.scheduler, "job_rate_limiter", None)
    if limiter and (limiter.max_jobs, limiter.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


rule all:
    default_target: True
    input:
        figures_of("universality"),
        figures_of("applicability"),
        figures_of("deep_learning_limit"),
        figures_of("geometry"),
        f"{RESULTS}/claims.csv",
        f"{RESULTS}/index.html",


rule universality:
    input:
        figures_of("universality"),


rule applicability:
    input:
        figures_of("applicability"),


rule deep_learning_limit:
    input:
        figures_of("deep_learning_limit"),


rule geometry:
    input:
        figures_of("geometry"),


include: "workflow/rules/runs.smk"
