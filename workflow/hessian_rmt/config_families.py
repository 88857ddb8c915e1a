"""Families of runs: one description in `families`, a run for each of its members in `runs`.

A family has `arms` (changes of the training, by name) or `budgets` (numbers of epochs), and
`replicates` of each. The replicate 1 of the arm `high` of `wrn` is the run `wrn_high_01`, the
budget of 8 epochs of `resnet` the run `resnet_008_01`. Arms of one replicate share their stream of
random numbers, so they differ in nothing but their settings; every budget and every replicate has
its own.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hessian_rmt.config_schema import Location, check_schema, filled, load_schema, refuse


@dataclass(frozen=True)
class Member:
    """A run of a family: `arm` is empty in a family of budgets, whose `epochs` differ."""

    run: str
    arm: str
    epochs: int
    replicate: int


def members(family: str, settings: Mapping[str, Any]) -> list[Member]:
    """A family's runs in order: arm by arm or budget by budget, replicates within."""
    replicates = range(settings["replicates"])
    if budgets := settings.get("budgets"):
        return [Member(f"{family}_{b:03d}_{r:02d}", "", b, r) for b in budgets for r in replicates]
    arms, epochs = settings.get("arms") or {"": {}}, settings["run"]["training"]["epochs"]
    names = {arm: "_".join(filter(None, [family, arm])) for arm in arms}
    return [
        Member(f"{names[arm]}_{r:02d}", arm, changes.get("epochs", epochs), r)
        for arm, changes in arms.items()
        for r in replicates
    ]


def runs_of_families(
    families: Mapping[str, dict[str, Any]], runs: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and settings of all members; defaults of `families` are filled in already.

    Raises UserError where a family has both arms and budgets, an arm's change is not valid, or a
    name belongs to another run.
    """
    schema = load_schema()["$defs"]["run"]["properties"]["training"]
    for name, family in families.items():
        location: Location = ("families", name)
        if "budgets" in family and "arms" in family:
            refuse((*location, "arms"), "are there beside budgets; keep one of the two")
        for arm, changes in family.get("arms", {}).items():
            check_schema((*location, "arms", arm), family["run"]["training"] | changes, schema)
        for member in members(name, family):
            run = copy.deepcopy(family["run"])
            changes = family.get("arms", {}).get(member.arm, {})
            shared = {"stream": f"{name}_{member.replicate:02d}"} if "arms" in family else {}
            training = run["training"] | shared | changes | {"epochs": member.epochs}
            run["training"] = filled(training, schema)
            if "budgets" in family:  # the last checkpoint is the budget's end
                earlier = [epoch for epoch in run["checkpoints"] if epoch < member.epochs]
                run["checkpoints"] = [*earlier, member.epochs]
            if runs.get(member.run, run) != run:
                refuse(location, f"makes the run {member.run}, but runs.{member.run} is another")
            yield member.run, run
