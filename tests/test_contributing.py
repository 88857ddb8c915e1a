"""CONTRIBUTING.md does what it says: its pieces, put where they belong, give a run, a network, a
figure and a claim."""

import csv
import json
from pathlib import Path

import pytest

from pages import pieces
from test_workflow import copy_of_checkout

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


PIECES = list(pieces(TEXT))
SECTIONS = ["A run", "A network", "A figure", "A claim"]


def test_the_page_has_all_four():
    assert [title for title in SECTIONS if any(p.section == title for p in PIECES)] == SECTIONS


@pytest.mark.parametrize("title", SECTIONS)
def test_each_takes_under_ten_lines_of_what_is_here(title):
    """Lines in files that exist, or are the user's own configuration and network."""
    own = [p for p in PIECES if p.section == title]
    changed = [p for p in own if (ROOT / p.path).exists() or "/" not in p.path]
    lines = sum(len(p.content.strip().splitlines()) for p in changed)
    assert 0 < lines < 10
    assert title == "A figure" or changed == own


def test_pieces_name_lines_that_are_there_once():
    for piece in PIECES:
        if piece.where:
            assert (ROOT / piece.path).read_text().split("\n").count(piece.line) == 1, piece.line


@pytest.mark.slow
def test_the_pieces_together_run(tmp_path):
    checkout = copy_of_checkout(tmp_path)
    for piece in PIECES:
        piece.put(tmp_path)
    checkout.run(overlays=("mine.yaml",))
    figures = checkout / "results/mine/figures/universality"
    for name in ("fig3", "figX9"):
        assert (figures / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    with open(figures / "figX9.csv", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2"]
    claims = json.loads((checkout / "results/mine/claims/universality.json").read_text())
    assert claims[0]["id"] == "U16"
    assert claims[0]["verdict"] in ("reproduced", "contradicted")
    page = (checkout / "results/mine/index.html").read_text()
    assert "The exponent stays below 1." in page
    assert 'src="figures/universality/figX9.png"' in page
