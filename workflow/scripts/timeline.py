"""Which job of a scale ran when, from the logs."""

from pathlib import Path

from hessian_rmt.errors import UserError
from hessian_rmt.figures.style import save_figure
from hessian_rmt.figures.timeline import timeline
from hessian_rmt.jobs import job
from hessian_rmt.timeline import one_run, span_of

folder = Path(snakemake.params.logs)

with job(snakemake.log[0]):
    logs = {path.relative_to(folder).with_suffix(""): path for path in folder.rglob("*.log")}
    found = (span_of(name.as_posix(), path.read_text()) for name, path in sorted(logs.items()))
    spans = one_run(span for span in found if span is not None)
    if not spans:
        raise UserError(f"no log in {folder} tells a job's times; run the scale anew")
    rows = [(s.name, s.stage, s.start, s.imports, s.work) for s in spans]
    columns = ("job", "stage", "start_seconds", "import_seconds", "work_seconds")
    save_figure(timeline(spans), dict(snakemake.output.items()), columns, rows)
