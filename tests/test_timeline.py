"""Times from logs, lanes and shares of a run."""

from itertools import pairwise

import numpy as np
import pytest

from hessian_rmt.jobs import times_line
from hessian_rmt.timeline import Span, by_stage, lanes, one_run, shares, span_of

HOUR = 3600.0


def random_spans(seed: int, jobs: int = 40) -> list[Span]:
    rng = np.random.default_rng(seed)
    return [
        Span(f"a/{i}", "abc"[i % 3], begin, imports, work)
        for i, (begin, imports, work) in enumerate(rng.uniform(0, (50, 2, 9), (jobs, 3)))
    ]


@pytest.mark.parametrize("began", [0.0, 1.7e9 + 0.25])
def test_a_log_gives_back_its_times(began):
    text = "a line\nanother\n" + times_line(began, 1.5, 20.25) + "\n"
    span = span_of("exact/mlp/full", text)
    assert span == Span("exact/mlp/full", "exact", began, 1.5, 20.25)
    assert (span.start, span.end) == (began - 1.5, began + 20.25)


@pytest.mark.parametrize("text", ["", "a line\n", times_line(0.0, 1.0, 1.0) + "\nerror: no\n"])
def test_a_log_without_times_gives_none(text):
    assert span_of("exact/mlp/full", text) is None


@pytest.mark.parametrize("seed", range(5))
def test_lanes_never_overlap_and_are_no_more_than_jobs_at_once(seed):
    spans = one_run(random_spans(seed))
    chosen = lanes(spans)
    for lane in set(chosen):
        own = [span for span, other in zip(spans, chosen, strict=True) if other == lane]
        assert all(b.start >= a.end for a, b in pairwise(own))
    at_once = max(sum(s.start <= t.start < s.end for s in spans) for t in spans)
    assert max(chosen) + 1 == at_once


@pytest.mark.parametrize("seed", range(5))
def test_pauses_are_cut_and_nothing_else(seed):
    first, second = random_spans(seed), random_spans(seed + 100)
    whole = one_run(first)
    assert whole[0].start == pytest.approx(0)
    later = [Span(s.name, s.stage, s.began + HOUR, s.imports, s.work) for s in second]
    both = one_run(first + later)
    wall = shares(whole).wall + shares(one_run(second)).wall
    assert shares(both).wall == pytest.approx(wall)
    assert by_stage(both) == by_stage(sorted(first + later, key=lambda s: s.start))


def test_shares_of_a_planted_run():
    # two cores for ten seconds: 5 + 8 of work, 1 + 1 of imports
    spans = one_run([Span("a/1", "a", 101, 1, 5), Span("b/1", "b", 102, 1, 8)])
    found = shares(spans)
    assert (found.wall, found.cores) == (pytest.approx(10), 2)
    assert found.work == pytest.approx(13 / 20)
    assert found.imports == pytest.approx(2 / 20)
    assert found.rest == pytest.approx(5 / 20)
    assert list(by_stage(spans)) == ["b", "a"]
