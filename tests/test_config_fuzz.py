"""Whatever stands in a configuration, the answer is a sentence or a plan, never a stack trace."""

import copy
import json
import math
import os
import random
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config, validate

from hessian_rmt.config import check_config
from hessian_rmt.config_schema import SCHEMA
from hessian_rmt.costs import cost_of
from hessian_rmt.errors import UserError
from test_workflow import SMOKE, Checkout, copy_of_checkout

ROOT = Path(__file__).parents[1]
CASES, DRY_RUNS = 400, 5
VALUES: list[Any] = [
    None,
    True,
    False,
    -1,
    0,
    1,
    2,
    7,
    64,
    10**6,
    10**30,
    0.5,
    1.5,
    -0.0,
    1e-300,
    math.inf,
    math.nan,
    "",
    "mnist",
    "another_run",
    "../up",
    "Größe λ\n",
    "{scale}",
    "os:system",
    [],
    [0],
    [0, 1, 2],
    [3, 2, 1],
    [[]],
    {},
    {"a": 1},
    {1: 2},
]


@pytest.fixture(scope="module")
def merged() -> dict[str, Any]:
    """Scale smoke as Snakemake merges it."""
    config: dict[str, Any] = {}
    update_config(config, yaml.safe_load((ROOT / "config.yaml").read_text()))
    overlay = yaml.safe_load((ROOT / SMOKE).read_text())
    figures = overlay["figures"]
    update_config(config, overlay)
    return config | {"figures": figures}


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value below the top."""
    keys = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield (*path, key)
        yield from places(tree[key], (*path, key))


def mutated(config: dict[str, Any], rng: random.Random) -> tuple[dict[str, Any], str]:
    """One to three changes: another value, a key left out or misspelt, a subtree from elsewhere."""
    config, changes = copy.deepcopy(config), []
    for _ in range(rng.randint(1, 3)):
        path = rng.choice(list(places(config)))
        parent, key = config, path[-1]
        for part in path[:-1]:
            parent = parent[part]
        match rng.choice(["value", "value", "nudge", "remove", "rename", "graft"]):
            case "remove":
                del parent[key]
            case "rename" if isinstance(parent, dict):
                parent[f"{key}x"] = parent.pop(key)
            case "graft":
                other = config
                for part in rng.choice(list(places(config))):
                    other = other[part]
                parent[key] = copy.deepcopy(other)
            case "nudge" if isinstance(parent[key], int | float):
                parent[key] = rng.choice([parent[key] + 1, parent[key] // 2, -parent[key]])
            case _:
                parent[key] = copy.deepcopy(rng.choice(VALUES))  # later changes may go into it
        changes.append(".".join(map(str, path)))
    return config, ", ".join(changes)


def seed_of(name: str, capsys: pytest.CaptureFixture[str]) -> int:
    seed = int(os.environ.get("FUZZ_SEED") or secrets.randbelow(2**32))
    with capsys.disabled():
        print(f"\n{name}: FUZZ_SEED={seed}")
    return seed


def verdict(config: dict[str, Any], changes: str) -> bool:
    """Whether a configuration is accepted; then it fits the schema and is made of plain JSON."""
    try:
        checked = check_config(config)
    except UserError as error:
        sentence = str(error)
        assert sentence.startswith("config: "), changes
        assert "\n" not in sentence, changes
        return False
    json.dumps(checked, allow_nan=False)
    validate(checked, str(SCHEMA))
    for run in checked["runs"]:
        cost = cost_of("train", {"run": run, "epoch": "001"}, checked)
        assert cost is not None, changes
        assert cost.seconds > 0, changes
    return True


def test_the_configuration_itself_is_accepted(merged):
    assert verdict(merged, "nothing")


def test_no_configuration_ends_in_a_stack_trace(merged, capsys):
    rng = random.Random(seed_of(f"{CASES} configurations", capsys))
    accepted = 0
    for _ in range(CASES):
        config, changes = mutated(merged, rng)
        try:
            accepted += verdict(config, changes)
        except Exception as error:
            error.add_note(f"changed: {changes}")
            raise
    assert 0 < accepted < CASES


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    return copy_of_checkout(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.slow
def test_a_dry_run_answers_as_well(merged, checkout, capsys):
    """The Snakefile's own use of the configuration is part of it: here as config.yaml itself."""
    rng = random.Random(seed_of(f"{DRY_RUNS} dry runs of each verdict", capsys))
    wanted = {True: DRY_RUNS, False: DRY_RUNS}
    while any(wanted.values()):
        config, changes = mutated(merged, rng)
        accepted = verdict(config, changes)
        if not wanted[accepted]:
            continue
        wanted[accepted] -= 1
        (checkout / "config.yaml").write_text(yaml.safe_dump(config))
        answer = checkout.snakemake("-n", overlays=())
        assert "Traceback" not in answer.text, f"{changes}: {answer.text[-2000:]}"
        if accepted:
            assert answer.code == 0 or "no noise settings" in answer.text, (
                f"{changes}: {answer.text[-2000:]}"
            )
        else:
            assert answer.code == 1, changes
            assert "error in config" in answer.text, f"{changes}: {answer.text[-2000:]}"
