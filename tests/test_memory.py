"""Memory of Hessian products with convolutional networks: what is held stays below what is allowed.

Bytes are those of torch's own storages, counted operation by operation.
"""

import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hessian_rmt.curvature import HessianOperator, top_eigenpairs
from hessian_rmt.curvature.hessian import _graph_bytes_per_example
from hessian_rmt.curvature.lanczos import basis_megabytes
from hessian_rmt.networks import build_network

NETWORKS = {
    "wide_resnet": {"depth": 10, "widening": 1, "width": 4},
    "preresnet": {"blocks": 1, "width": 2},
    "vgg": {"convolutions": [2, 1], "width": 4},
}
EXAMPLES = 96
SMALL_CHANGE = 1.02  # scalars, and what is as large as the classes


class Storages(TorchDispatchMode):
    """Counts the bytes of storages made inside it that are alive, and their largest number."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.count(tensor.untyped_storage())
        return result

    def count(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata not in self.known:
            self.known.add(storage._cdata)
            self.live += storage.nbytes()
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self.forget, storage._cdata, storage.nbytes())

    def forget(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.live -= size


def problem(name: str, dtype: torch.dtype = torch.float32) -> tuple:
    torch.manual_seed(1)
    settings = {"name": name, "arguments": NETWORKS[name]}
    network = build_network(settings, (1, 14, 14), 10, seed=0).to(dtype).eval()
    x = torch.randn(EXAMPLES, 1, 14, 14, dtype=torch.float64).to(dtype)
    return network, x, torch.randint(10, (EXAMPLES,))


def vectors_mb(network: nn.Module) -> float:
    """What a product holds of the parameters' own size."""
    return 15 * 8 * sum(p.numel() for p in network.parameters()) / 2**20


def needed_mb(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """The least memory_mb with which the graph of all examples is kept."""
    return 2 * len(x) * _graph_bytes_per_example(network, cross_entropy, x, y) / 2**20


def test_storages_are_counted():
    with Storages() as storages:
        a = torch.zeros(1000)
        b = a.view(10, 100) + 1
        assert storages.live == 8000
        del b
        assert storages.live == 4000
    assert storages.peak == 8000
    del a


@pytest.mark.parametrize("name", NETWORKS)
def test_the_estimate_is_what_a_graph_holds(name):
    network, x, y = problem(name)
    estimate = len(x) * _graph_bytes_per_example(network, cross_entropy, x, y)
    with Storages() as storages:
        operator = HessianOperator(network, cross_entropy, x, y, graph="keep")
        held = storages.live
        operator.core.release()
        released = storages.live
    assert estimate <= held <= 1.05 * estimate + 2**20 * vectors_mb(network)
    assert released <= 0.1 * estimate + 2**20 * vectors_mb(network)


@pytest.mark.parametrize("share", [1.001, 0.999, 0.1])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_product_stays_within_its_memory(name, share):
    """Kept just above the least memory that allows it, streamed just below."""
    network, x, y = problem(name)
    memory_mb = share * needed_mb(network, x, y)
    v = torch.ones(sum(p.numel() for p in network.parameters()), dtype=torch.float64)
    with Storages() as storages:
        operator = HessianOperator(network, cross_entropy, x, y, memory_mb=memory_mb)
        assert operator.core.keep == (share > 1)
        operator.matvec(v)
    # the smallest micro-batch of a stream is one example
    allowed = max(memory_mb, memory_mb / share / len(x)) + vectors_mb(network)
    assert storages.peak / 2**20 <= SMALL_CHANGE * allowed


@pytest.mark.parametrize("share", [1.001, 0.5])
@pytest.mark.parametrize("name", NETWORKS)
def test_certified_eigenpairs_stay_within_their_memory(name, share):
    """The graph in single precision is gone before that in double precision is built."""
    network, x, y = problem(name)
    memory_mb = share * needed_mb(network, x, y)
    parameters = sum(p.numel() for p in network.parameters())
    with Storages() as storages:
        operator = HessianOperator(network, cross_entropy, x, y, memory_mb=memory_mb)
        top_eigenpairs(operator, 1, tol=1e-2, check_multiplicity=False)
    allowed = memory_mb + basis_megabytes(parameters, 1) + vectors_mb(network)
    # inputs in double precision, and a copy of the weights
    allowed += (x.numel() * 8 + parameters * 8) / 2**20
    assert storages.peak / 2**20 <= SMALL_CHANGE * allowed


@pytest.mark.parametrize(("dtype", "relative"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("name", NETWORKS)
def test_streamed_products_are_those_of_a_kept_graph(name, dtype, relative):
    network, x, y = problem(name, dtype)
    v = np.random.default_rng(0).standard_normal(sum(p.numel() for p in network.parameters()))
    kept = HessianOperator(network, cross_entropy, x, y, graph="keep") @ v
    for micro_batch in (None, 50, 7):
        streamed = HessianOperator(
            network, cross_entropy, x, y, graph="stream", micro_batch=micro_batch
        )
        assert np.linalg.norm(streamed @ v - kept) <= relative * np.linalg.norm(kept)
