"""Families of runs: their members, and one sentence for what is wrong with them."""

import copy

import pytest

from hessian_rmt.config import check_config
from hessian_rmt.config_families import members
from test_config import merged, sentence

FAMILY = "families.wrn_averaging"


def family(config, name):
    return config["families"][name]


def test_members_of_arms_differ_in_their_settings_and_share_a_stream():
    config = merged("laptop")
    checked = check_config(config)
    found = members("wrn_averaging", checked["families"]["wrn_averaging"])
    assert [m.run for m in found[:2]] == ["wrn_averaging_decayed_00", "wrn_averaging_decayed_01"]
    by_key = {(m.arm, m.replicate): checked["runs"][m.run] for m in found}
    assert len(by_key) == len(found) == 3 * checked["families"]["wrn_averaging"]["replicates"]
    first, other = by_key["high", 0], by_key["low", 0]
    assert first["training"]["stream"] == other["training"]["stream"] == "wrn_averaging_00"
    assert by_key["high", 1]["training"]["stream"] != first["training"]["stream"]
    assert other["training"]["learning_rate"] == 0.01
    differing = {k for k in first["training"] if first["training"][k] != other["training"][k]}
    assert differing == {"learning_rate"}
    assert {k: v for k, v in first.items() if k != "training"} == {
        k: v for k, v in other.items() if k != "training"
    }


def test_members_of_budgets_are_separate_trainings():
    checked = check_config(merged("laptop"))
    name = "preresnet_budgets"
    for member in members(name, checked["families"][name]):
        run = checked["runs"][member.run]
        assert member.run == f"{name}_{member.epochs:03d}_{member.replicate:02d}"
        assert run["training"]["epochs"] == run["checkpoints"][-1] == member.epochs
        assert "stream" not in run["training"], "each draws its own random numbers"


def test_a_checked_configuration_is_left_as_it_is():
    for scale in ("laptop", "smoke", "paper"):
        checked = check_config(merged(scale))
        assert check_config(checked) == checked


def test_a_family_without_arms_or_budgets_is_its_replicates():
    config = merged("laptop")
    of_runs = {"replicates": 2, "run": copy.deepcopy(config["runs"]["mlp_mnist"])}
    config["families"]["mlp"] = of_runs
    runs = check_config(config)["runs"]
    assert runs["mlp_00"]["training"] == runs["mlp_01"]["training"]
    assert runs["mlp_00"]["network"] == runs["mlp_mnist"]["network"]


def figure(config, name):
    return config["figures"]["applicability"][name]


WRONG = {
    "arm": (
        lambda c: family(c, "wrn_averaging")["arms"]["high"].update(schedule="cosine"),
        f"{FAMILY}.arms.high.schedule is 'cosine'",
    ),
    "key of an arm": (
        lambda c: family(c, "wrn_averaging")["arms"]["high"].update(learningrate=1),
        f"{FAMILY}.arms.high.learningrate is no known key (did you mean learning_rate?)",
    ),
    "both": (
        lambda c: family(c, "wrn_averaging").update(budgets=[1, 2]),
        f"{FAMILY}.arms are there beside budgets",
    ),
    "run": (
        lambda c: family(c, "wrn_averaging")["run"]["dataset"].update(train_examples=10**6),
        f"{FAMILY}.run.dataset.train_examples is 1000000, but must be at most 60000",
    ),
    "another run": (
        lambda c: c["runs"].update(wrn_averaging_high_00=c["runs"]["mlp_mnist"]),
        f"{FAMILY} makes the run wrn_averaging_high_00",
    ),
    "family": (
        lambda c: figure(c, "fig7").update(family="wrn_average"),
        "fig7.family is 'wrn_average' (did you mean wrn_averaging?)",
    ),
    "arm of a figure": (
        lambda c: figure(c, "fig7").update(reference="sgd"),
        "fig7.reference is 'sgd', but must be one of the arms of wrn_averaging",
    ),
    "no average": (
        lambda c: family(c, "wrn_averaging")["arms"]["high"].pop("average_from"),
        f"{FAMILY}.arms.high.average_from is missing",
    ),
    "tail": (
        lambda c: family(c, "wrn_averaging")["arms"]["high"].update(average_from=99),
        f"{FAMILY}.arms.high.average_from is 99, but must be at most 12",
    ),
    "replicates": (
        lambda c: family(c, "wrn_averaging").update(replicates=1),
        f"{FAMILY}.replicates is 1",
    ),
    "epochs": (
        lambda c: family(c, "wrn_averaging")["arms"]["decayed"].update(epochs=20),
        f"{FAMILY}.arms.decayed.epochs is 20",
    ),
    "few budgets": (
        lambda c: family(c, "preresnet_budgets").update(budgets=[1, 2, 3]),
        "families.preresnet_budgets.budgets has length 3",
    ),
    "order of budgets": (
        lambda c: family(c, "preresnet_budgets").update(budgets=[1, 2, 3, 6, 5, 7]),
        "budgets[4] is 5 after 6",
    ),
    "blocks": (
        lambda c: figure(c, "figX3").update(block=1000),
        "figX3.block is 1000, but must be at most",
    ),
    "arm of X3": (
        lambda c: figure(c, "figX3").update(arms=["low", "hi"]),
        "figX3.arms[1] is 'hi' (did you mean high?)",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_refused_with_a_sentence(name):
    change, expected = WRONG[name]
    config = merged("laptop")
    change(config)
    assert expected in sentence(config)
