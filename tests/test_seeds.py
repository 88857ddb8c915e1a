"""Seeds: one per address, the same for ever."""

import hashlib

import numpy as np
import pytest
import torch

from hessian_rmt.seeds import derive_seed


def recipe(*parts: str | int) -> int:
    """The documented recipe: SHA-256 of each part with its type and length; 63 bits of it."""
    message = b""
    for part in parts:
        kind = "int" if isinstance(part, int) else "str"
        text = kind.encode() + b":" + str(part).encode("utf-8")
        message += len(text).to_bytes(8, "big") + text
    return int.from_bytes(hashlib.sha256(message).digest()[:8], "big") // 2


@pytest.mark.parametrize(
    "address",
    [(), ("mlp_mnist", "batch", 5, 256, 3), (0,), ("",), ("Größe λ", -7), (2**200,)],
)
@pytest.mark.parametrize("master", [0, 2022, 2**63 - 1])
def test_the_documented_recipe(master, address):
    assert derive_seed(master, *address) == recipe(master, *address)


def test_seeds_are_the_same_for_ever():
    # printf '\0\0\0\0\0\0\0\10int:2022\0\0\0\0\0\0\0\5str:a' | sha256sum, halved
    assert derive_seed(2022, "a") == 0x9FD75418A21F0A3E >> 1


def test_addresses_that_look_alike_differ():
    addresses = [
        (1,),
        (1, 1),
        (1, "1"),
        (1, ""),
        (1, "", ""),
        (1, "a", "bc"),
        (1, "ab", "c"),
        (1, "abc"),
        (1, "a", "b", "c"),
        (1, "int:1"),
        (1, "str:1"),
        (11,),
        (1, 12, 3),
        (1, 1, 23),
        (1, 123),
        (-1,),
        (1, "a", 0),
        (1, "a", "0"),
        (1, "a\0"),
        (1, "a"),
        (1, "\0a"),
    ]
    assert len({derive_seed(*address) for address in addresses}) == len(addresses)


def test_a_whole_grid_has_no_equal_seeds():
    seeds = {
        derive_seed(2022, run, what, epoch, size, index)
        for run in ("mlp_mnist", "mlp3_mnist")
        for what in ("batch", "lanczos")
        for epoch in range(11)
        for size in (32, 64, 128, 256, 512)
        for index in range(20)
    }
    assert len(seeds) == 2 * 2 * 11 * 5 * 20


@pytest.mark.parametrize("part", [1.0, True, None, b"a", np.int64(1), np.float64(1), (1,), ["a"]])
def test_other_types_are_refused(part):
    with pytest.raises(TypeError, match="integers and strings"):
        derive_seed(1, part)
    with pytest.raises(TypeError, match="integers and strings"):
        derive_seed(part, "a")


def test_range_suits_both_generators():
    seeds = [derive_seed(0, i) for i in range(2000)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert min(seeds) < 2**54, "the low end is reached"
    assert max(seeds) > 2**63 - 2**54, "and the high end"
    torch.Generator().manual_seed(max(seeds))
    np.random.default_rng(max(seeds))
