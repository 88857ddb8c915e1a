"""Products with the Hessian of a mean loss, H = (1/n) sum_i d^2 l(f_w(x_i), y_i) / dw^2.

H v = d/dw <g(w), v> with g the gradient (Pearlmutter, Neural Computation 6, 1994). The graph of g
is built once and differentiated again for each v, which costs about one gradient, while it fits in
memory; else each product streams micro-batches and builds their graphs anew.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from hessian_rmt.curvature.input_span import InputSpan, restrict_to_input_span
from hessian_rmt.errors import UserError
from hessian_rmt.networks.batch_norm import BatchNorm, batch_norms
from hessian_rmt.networks.precision import without_tf32

Loss = Callable[[Tensor, Tensor], Tensor]
Batches = Iterable[tuple[Tensor, Tensor]]

# Bytes of graph per example, measured once per network (see `_graph_bytes_per_example`).
_measured_bytes: WeakKeyDictionary[nn.Module, dict[torch.Size, float]] = WeakKeyDictionary()
_PROBE_EXAMPLES = 8
# A product holds, beside the graph, derivatives by what the graph holds: 0.7 to 1 times as much.
_WITH_PRODUCT = 2
_BATCHED_EXAMPLES = 1024


class HessianOperator:
    """The Hessian of a network's mean loss over a set of examples, as a linear operator.

    network: in evaluation mode where it has dropout or BatchNorm; its parameters' dtype and device
        are those of the products (for convolutions on the CPU see `networks.layout`). BatchNorm
        layers without statistics of their own normalise with those of the batch
        (`networks.batch_norm`): one graph then holds all examples, or there is no Hessian.
    loss: ``loss(outputs, targets)``, the *mean* over the examples it is given.
    inputs, targets: tensors whose first axis counts examples; or `inputs` a re-iterable (a list, a
        data loader) of ``(inputs, targets)`` pairs with ``targets=None``. Pairs of unequal size are
        weighted by their examples, so any cut gives the same operator to round-off.
    micro_batch: examples per forward pass; by default all of them, or what the memory allows.
    graph: ``"keep"`` the gradient's graph between products, ``"stream"``, or ``"auto"``: keep it if
        graph and product fit in `memory_mb`; streamed micro-batches fit in any case. What is as
        large as the parameters comes on top.

    ``H @ v`` and `matvec` take and return float64 vectors (NumPy arrays or tensors) of the length P
    of the concatenated parameters; `matmat` takes (P, j). Weight decay is not part of the Hessian.

    If the network is an `nn.Sequential` that begins with a linear layer, that layer's weights act
    on the span of the inputs only. Then H = T K T^T with `core` K, a smaller Hessian, and an
    isometry T (`isometry`), exactly; `top_eigenpairs` works with K.

    >>> import torch
    >>> network = torch.nn.Sequential(torch.nn.Linear(3, 2))
    >>> x, y = torch.randn(5, 3), torch.tensor([0, 1, 1, 0, 1])
    >>> H = HessianOperator(network, torch.nn.functional.cross_entropy, x, y)
    >>> H.shape, bool(abs(H @ np.ones(8)).max() < 1e-6)   # logits' shift: an exact null direction
    ((8, 8), True)
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        inputs: Tensor | Batches,
        targets: Tensor | None = None,
        *,
        micro_batch: int | None = None,
        graph: str = "auto",
        memory_mb: float = 1500.0,
    ) -> None:
        if graph not in ("auto", "keep", "stream"):
            raise ValueError(f"graph is 'auto', 'keep' or 'stream', not {graph!r}")
        if micro_batch is not None and micro_batch < 1:
            raise ValueError(f"micro_batch is at least 1, not {micro_batch}")
        _refuse_training_mode(network)
        uncut = _mixes_examples(network)
        if not all(p.requires_grad for p in network.parameters()):
            raise ValueError("every parameter needs requires_grad: the Hessian is that of them all")
        self._problem = (network, loss, inputs, targets)
        self._memory_mb = memory_mb
        watched = [(p, p._version, p.dtype) for p in network.parameters()]
        parameters = sum(p.numel() for p in network.parameters())
        self.shape = (parameters, parameters)
        self.isometry: InputSpan | None = None
        if isinstance(inputs, Tensor):
            if targets is None or len(targets) != len(inputs) or len(inputs) == 0:
                raise ValueError("inputs and targets must be tensors of one equal, positive length")
            graph_bytes = _graph_bytes_per_example(network, loss, inputs, targets)
            bytes_per_example = _WITH_PRODUCT * graph_bytes
            restricted = restrict_to_input_span(network, inputs)
            if restricted is not None:
                network, inputs, self.isometry = restricted
            fitting = max(1, int(memory_mb * 2**20 / bytes_per_example))
            if uncut:
                _refuse_cut(len(inputs), micro_batch)
                _refuse_memory(network, len(inputs), bytes_per_example, memory_mb)
                fitting = len(inputs)
            if graph == "auto":
                graph = "keep" if len(inputs) <= fitting else "stream"
            if graph == "stream":
                micro_batch = min(micro_batch or fitting, fitting)
            batches: Batches = _Chunks(inputs, targets, micro_batch or len(inputs))
        else:
            if targets is not None:
                raise ValueError("targets must be None where inputs is an iterable of pairs")
            if iter(inputs) is inputs:
                raise ValueError(
                    "inputs must be re-iterable (a list, a data loader), not an iterator"
                )
            batches = inputs
            if uncut:
                sizes = [len(x) for x, _ in batches]
                _refuse_cut(sum(sizes), min(sizes, default=0))
            if graph == "auto":
                first = next(iter(batches))
                examples = sum(len(x) for x, _ in batches)
                needed = examples * _graph_bytes_per_example(network, loss, *first)
                graph = "keep" if _WITH_PRODUCT * needed <= memory_mb * 2**20 else "stream"
        self.core = _GraphOperator(network, loss, batches, keep=graph == "keep", watched=watched)

    @property
    def matvecs(self) -> int:
        """Products computed so far."""
        return self.core.matvecs

    @property
    def value(self) -> float:
        """The loss at the network's weights, over all examples."""
        return self.core.value

    @property
    def dtype(self) -> torch.dtype:
        """The dtype in which products are computed."""
        return self.core.dtype

    @property
    def device(self) -> torch.device:
        return self.core.device

    def double(self) -> HessianOperator:
        """The Hessian of the same function computed in float64, streamed; the network is copied."""
        self.core.release()  # the memory allowed is for one graph at a time
        single, loss, inputs, targets = self._problem
        network = copy.deepcopy(single).double()
        _measured_bytes[network] = {k: 2 * v for k, v in _measured_bytes.get(single, {}).items()}
        try:
            if isinstance(inputs, Tensor):
                assert targets is not None
                return HessianOperator(
                    network,
                    loss,
                    # the restriction to the inputs' span casts what it keeps
                    inputs if self.isometry is not None else _in_double(inputs),
                    _in_double(targets),
                    graph="stream",
                    memory_mb=self._memory_mb,
                )
            return HessianOperator(network, loss, _DoubleBatches(inputs), graph="stream")
        except RuntimeError as error:
            raise ValueError(
                f"the network does not compute in float64, which certifies eigenvalues ({error}); "
                "its constants must follow its parameters' dtype"
            ) from error

    def matvec(self, v):  # type: ignore[no-untyped-def]
        """H v for a vector (P,); a tensor for a tensor, an array for an array."""
        if isinstance(v, np.ndarray):
            return self.matvec(torch.from_numpy(np.ascontiguousarray(v))).cpu().numpy()
        if v.shape != (self.shape[1],):
            raise ValueError(f"a vector of shape {tuple(v.shape)} for an operator {self.shape}")
        if self.isometry is None:
            return self.core.matvec(v)
        return self.isometry.extend(self.core.matvec(self.isometry.restrict(v)))

    def matmat(self, V):  # type: ignore[no-untyped-def]
        """H V for a matrix of column vectors (P, j)."""
        if isinstance(V, np.ndarray):
            return self.matmat(torch.from_numpy(np.ascontiguousarray(V))).cpu().numpy()
        if V.ndim != 2 or V.shape[0] != self.shape[1]:
            raise ValueError(f"a matrix of shape {tuple(V.shape)} for an operator {self.shape}")
        rows = V.T if self.isometry is None else self.isometry.restrict(V.T)
        products = self.core.row_products(rows)
        return (products if self.isometry is None else self.isometry.extend(products)).T

    def __matmul__(self, v):  # type: ignore[no-untyped-def]
        return self.matvec(v) if v.ndim == 1 else self.matmat(v)


class _GraphOperator:
    """Products with the Hessian in the network's own parameters, from kept or rebuilt graphs."""

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        batches: Batches,
        *,
        keep: bool,
        watched: Sequence[tuple[Tensor, int, torch.dtype]],
    ) -> None:
        self.network, self.loss, self.batches, self.watched = network, loss, batches, watched
        self.parameters = list(network.parameters())
        self.sizes = [p.numel() for p in self.parameters]
        self.shape = (sum(self.sizes), sum(self.sizes))
        self.dtype, self.device = self.parameters[0].dtype, self.parameters[0].device
        sizes = [len(inputs) for inputs, _ in batches]
        # One backward pass for several vectors beats a loop on perceptrons while what it holds
        # stays in cache; on convolutions it loses two- to threefold (on the CPU).
        convolves = any(isinstance(m, nn.modules.conv._ConvNd) for m in network.modules())
        self.batched = not convolves and max(sizes, default=0) <= _BATCHED_EXAMPLES
        self.matvecs = 0
        self.examples = sum(sizes)
        if self.examples == 0:
            raise ValueError("no examples to take the mean loss over")
        self.keep = keep
        self._gradient: Sequence[Tensor] | None = None
        self._value: float | None = None
        if keep:
            self._build()

    @without_tf32()
    def _build(self) -> None:
        mean_loss = torch.zeros((), dtype=self.dtype, device=self.device)
        for inputs, targets in self.batches:
            mean_loss = mean_loss + self._weighted_loss(inputs, targets)
        self._value = float(mean_loss.detach())
        self._gradient = self._graph_of_gradient(mean_loss)

    def release(self) -> None:
        """Let go of the kept graph; a further product builds it again."""
        self._gradient = None

    @property
    def value(self) -> float:
        if self._value is None:
            with torch.no_grad(), without_tf32():
                self._value = float(sum(self._weighted_loss(x, y) for x, y in self.batches))
        return self._value

    def matvec(self, v: Tensor) -> Tensor:
        return self.row_products(v[None])[0]

    @without_tf32()
    def row_products(self, rows: Tensor) -> Tensor:
        """H v for each row v of (j, P), in float64."""
        # a kept graph, or a first layer in coordinates of the inputs, belongs to these weights
        if any(p._version != version or p.dtype != dtype for p, version, dtype in self.watched):
            raise RuntimeError("the network's weights have changed; make a new HessianOperator")
        self.matvecs += len(rows)
        pieces = rows.to(self.device, self.dtype).split(self.sizes, dim=1)
        vectors = [
            piece.reshape(len(rows), *p.shape)
            for piece, p in zip(pieces, self.parameters, strict=True)
        ]
        total = torch.zeros(rows.shape, dtype=torch.float64, device=self.device)
        for gradient in self._gradients():
            total += self._differentiate(gradient, vectors)
        return total

    def _gradients(self) -> Iterator[Sequence[Tensor]]:
        if self.keep:
            if self._gradient is None:
                self._build()
            assert self._gradient is not None
            yield self._gradient
            return
        for inputs, targets in self.batches:
            yield self._graph_of_gradient(self._weighted_loss(inputs, targets))

    def _weighted_loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        value = self.loss(self.network(inputs), targets)
        if value.ndim != 0:
            raise ValueError("the loss must be the mean over examples, a scalar")
        return value * (len(inputs) / self.examples)

    def _graph_of_gradient(self, mean_loss: Tensor) -> Sequence[Tensor]:
        return torch.autograd.grad(
            mean_loss, self.parameters, create_graph=True, materialize_grads=True
        )

    def _differentiate(self, gradient: Sequence[Tensor], vectors: Sequence[Tensor]) -> Tensor:
        # A gradient that does not depend on the weights (a loss linear in them) has no graph.
        pairs = [(g, v) for g, v in zip(gradient, vectors, strict=True) if g.requires_grad]
        if not pairs:
            return torch.zeros((), dtype=torch.float64, device=self.device)
        outputs = [g for g, _ in pairs]
        count = len(vectors[0])

        def product(grad_outputs: list[Tensor], *, batched: bool) -> Tensor:
            columns = torch.autograd.grad(
                outputs,
                self.parameters,
                grad_outputs=grad_outputs,
                retain_graph=True,
                materialize_grads=True,
                is_grads_batched=batched,
            )
            if not batched:
                return torch.cat([c.flatten() for c in columns])
            # A parameter without influence gets zeros of its own shape, without the vectors' axis.
            full = [
                c.expand(count, *p.shape) for c, p in zip(columns, self.parameters, strict=True)
            ]
            return torch.cat([c.flatten(1) for c in full], dim=1)

        if self.batched and count > 1:
            return product([v for _, v in pairs], batched=True).double()
        return torch.stack(
            [product([v[i] for _, v in pairs], batched=False).double() for i in range(count)]
        )


class _Chunks:
    """A re-iterable over the micro-batches of two tensors."""

    def __init__(self, inputs: Tensor, targets: Tensor, size: int) -> None:
        self.inputs, self.targets, self.size = inputs, targets, size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(self.inputs.split(self.size), self.targets.split(self.size), strict=True)


class _DoubleBatches:
    """A re-iterable's batches in float64."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return ((_in_double(x), _in_double(y)) for x, y in self.batches)


def _in_double(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _refuse_training_mode(network: nn.Module) -> None:
    for name, module in network.named_modules():
        stochastic = isinstance(module, nn.modules.dropout._DropoutNd)
        if module.training and (stochastic or isinstance(module, BatchNorm)):
            raise ValueError(
                f"the module {name!r} ({type(module).__name__}) draws random numbers or changes "
                "its statistics in training mode, so there is no Hessian; call network.eval()"
            )


def _mixes_examples(network: nn.Module) -> bool:
    """Whether one example's loss depends on the others, through the statistics of the batch."""
    return any(layer.running_mean is None for layer in batch_norms(network))


def _refuse_cut(examples: int, micro_batch: int | None) -> None:
    if micro_batch is not None and micro_batch < examples:
        raise ValueError(
            f"micro-batches of {micro_batch} of {examples} examples would change the Hessian: the "
            "network's BatchNorm layers normalise with the statistics of the batch, so one "
            "example's share depends on the others; give the whole batch at once"
        )


def _refuse_memory(
    network: nn.Module, examples: int, bytes_per_example: float, memory_mb: float
) -> None:
    # eigenvalues found in single precision are certified in double precision
    single = next(network.parameters()).dtype == torch.float32
    needed = examples * bytes_per_example * (2 if single else 1) / 2**20
    if needed > memory_mb:
        raise UserError(
            f"a batch of {examples} examples needs {needed:,.0f} MB, above the "
            f"{memory_mb:,.0f} MB of compute.memory_mb, and with hessian.batch_norm batch it "
            "cannot be cut; allow more memory, take smaller batches, or set hessian.batch_norm to "
            "evaluation"
        )


def examples_within(
    network: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor, memory_mb: float
) -> int:
    """How many examples' graphs and products fit in `memory_mb`, at least one."""
    per_example = _WITH_PRODUCT * _graph_bytes_per_example(network, loss, inputs, targets)
    return max(1, int(memory_mb * 2**20 / per_example))


def _graph_bytes_per_example(
    network: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor
) -> float:
    """Bytes that the graphs of loss and gradient keep per example, counted on a few of them."""
    measured = _measured_bytes.setdefault(network, {})
    if inputs.shape[1:] in measured:
        return measured[inputs.shape[1:]]
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    seen: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    # Always as many examples, so that the choice of graph is no function of the first batch seen.
    probe = torch.arange(_PROBE_EXAMPLES, device=inputs.device) % len(inputs)
    x, y = inputs[probe], targets[probe.to(targets.device)]
    parameters = list(network.parameters())
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        gradient = torch.autograd.grad(
            loss(network(x), y), parameters, create_graph=True, materialize_grads=True
        )
    measured[inputs.shape[1:]] = sum(seen.values()) / len(x)
    del gradient
    return measured[inputs.shape[1:]]
