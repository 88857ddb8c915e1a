"""README's worked example does what it says, from its three files to the front page."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pages import pieces
from test_workflow import copy_of_checkout

README = (Path(__file__).parents[1] / "README.md").read_text()
EXAMPLE = {piece.path: piece for piece in pieces(README)}
COMMANDS = """\
python make_data.py
snakemake --cores all --configfile mine.yaml
"""


def test_the_example_is_three_files_and_two_commands():
    assert list(EXAMPLE) == ["make_data.py", "my_networks.py", "mine.yaml"]
    assert f"```sh\n{COMMANDS}```" in README


@pytest.mark.slow
def test_the_example_runs(tmp_path):
    checkout = copy_of_checkout(tmp_path)
    for piece in EXAMPLE.values():
        piece.put(tmp_path)
    subprocess.run([sys.executable, "make_data.py"], cwd=tmp_path, check=True)
    checkout.run(overlays=("mine.yaml",))
    results = checkout / "results/mine"
    for figure in ("universality/fig2", "universality/fig3", "applicability/fig4"):
        assert (results / f"figures/{figure}.pdf").read_bytes().startswith(b"%PDF")
    with open(results / "checkpoints/chirps/training.csv", newline="") as file:
        assert float(list(csv.DictReader(file))[-1]["held_out_accuracy"]) > 0.9
    with open(results / "claims.csv", newline="") as file:
        claims = {row["id"]: row for row in csv.DictReader(file)}
    assert claims["A2"]["verdict"] == "contradicted"  # as the page says
    mean = re.search(r"signal ([\d.]+)", claims["A2"]["measured"])
    assert mean is not None
    assert abs(float(mean[1]) - 0.506) < 0.003
    assert (results / "index.html").is_file()
