"""All claims of a paper judged on the files there are: from arrays to rows of a table."""

from collections.abc import Collection, Mapping
from typing import Any

from hessian_rmt.claims import applicability, deep_learning_limit, geometry, universality
from hessian_rmt.claims.claim import UNTESTABLE, Claim, Evidence, Finding, Table, Untestable

CLAIMS: dict[str, tuple[Claim, ...]] = {
    "universality": universality.CLAIMS,
    "applicability": applicability.CLAIMS,
    "deep_learning_limit": deep_learning_limit.CLAIMS,
    "geometry": geometry.CLAIMS,
}
COLUMNS = (
    "id",
    "paper",
    "verdict",
    "statement",
    "where",
    "measured",
    "evidence",
    "rule",
    "scale",
    "figure",
)


def judge(claim: Claim, files: Mapping[str, Table], runs: Mapping[str, Any]) -> Finding:
    """A claim's verdict; `files` and `runs` as of `Evidence`."""
    try:
        return claim.judge(Evidence(files, runs))
    except Untestable as reason:
        text = str(reason)
        return Finding(UNTESTABLE, text[0].upper() + text[1:].rstrip(".") + ".")


def verdicts(
    paper: str,
    scale: str,
    files: Mapping[str, Table],
    runs: Mapping[str, Any],
    figures: Collection[str] = (),
) -> list[dict[str, str]]:
    """A row, `COLUMNS` by name, for each claim of a paper.

    files, runs: see `Evidence`. figures: those that are built, of which the first that shows the
    claim is its figure.
    """
    rows = []
    for claim in CLAIMS[paper]:
        finding = judge(claim, files, runs)
        rows.append(
            {
                "id": claim.id,
                "paper": paper,
                "verdict": finding.verdict,
                "statement": claim.statement,
                "where": claim.where,
                "measured": finding.measured,
                "evidence": finding.evidence,
                "rule": claim.rule,
                "scale": scale,
                "figure": next(filter(figures.__contains__, claim.figures), claim.figures[0]),
            }
        )
    return rows
