"""What the benchmarks say of a comparison."""

import csv
from math import nan

import pytest

from common import Comparison, alternate, median_ratio, record


@pytest.mark.parametrize(
    ("value", "at_least", "at_most", "ours", "peers", "outcome"),
    [
        (16.0, 15.0, nan, 1.0, 16.0, "reached"),
        (14.0, 15.0, nan, 1.0, 14.0, "missed"),
        (0.5, 2.0, nan, 2.0, 1.0, "missed, a peer is faster"),
        (0.5, nan, nan, 2.0, 1.0, "a peer is faster"),
        (3.0, nan, nan, 1.0, 3.0, ""),
        (1.2, nan, 1.3, nan, nan, "reached"),
        (1.4, nan, 1.3, nan, nan, "missed"),
        (nan, 10.0, nan, nan, nan, "missed"),
    ],
)
def test_the_outcome_of_a_comparison(value, at_least, at_most, ours, peers, outcome):
    comparison = Comparison(
        "a solve", "batch 64", "times faster", value, at_least, at_most, "a peer", ours, peers
    )
    assert comparison.outcome == outcome


def test_comparisons_are_written_with_the_machine(tmp_path):
    record([Comparison("a solve", "", "seconds", 2.0, at_most=1.0)], tmp_path / "solves.csv")
    with open(tmp_path / "solves-comparisons.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["what"], row["value"], row["outcome"]) == ("a solve", "2.0", "missed")
    assert int(row["cores"]) >= 1
    assert row["torch"]


def test_turns_alternate_and_ratios_are_of_turns():
    calls: list[str] = []
    seconds = alternate([lambda: calls.append("a"), lambda: calls.append("b")], 3)
    assert "".join(calls) == "abbaab"
    assert [len(s) for s in seconds] == [3, 3]
    assert median_ratio([2.0, 30.0, 4.0], [1.0, 10.0, 1.0]) == 3.0
