"""The tail average of the iterates, w_IA = (1/n) sum_i w_i (`applicability` section 8).

The iterates are the weights at the ends of the last n epochs, as Izmailov et al. take them
(arXiv:1803.05407). BatchNorm's statistics belong to the weights, so those of the average are
computed anew, by a pass over the training split, before it is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from hessian_rmt.errors import UserError

Row = list[float]


class TailAverage:
    """The running mean of a network's weights over the ends of epochs `first`, `first` + 1, ...

    first: None for no average, which then is never due. state: what `state()` gave at the end of an
    earlier epoch; {} at the beginning. Raises UserError where a state does not fit the network.
    """

    def __init__(self, network: nn.Module, first: int | None, state: Mapping[str, Any]) -> None:
        self._first = first
        self._rows: list[Row] = [list(row) for row in state.get("history", [])]
        self._average = AveragedModel(network) if first is not None else None
        if self._average is not None and state:
            try:
                self._average.load_state_dict(state["weights"])
            except RuntimeError as error:
                raise UserError(
                    f"the average of iterates in a checkpoint does not fit its network "
                    f"({str(error).splitlines()[0]}); delete the checkpoint and run again"
                ) from error

    def add(
        self,
        epoch: int,
        network: nn.Module,
        batches: Callable[[], Iterable[Tensor]],
        evaluate: Callable[[nn.Module], Row],
    ) -> None:
        """Take the weights at the end of an epoch into the average, and evaluate it.

        batches: passes over the training inputs, on the network's device; evaluate: a network's row
        of the training's history.
        """
        if self._average is None or self._first is None or epoch < self._first:
            return
        self._average.update_parameters(network)
        update_bn(equal_batches(batches()), self._average.module)
        self._rows.append(evaluate(self._average.module))

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: weights, BatchNorm statistics, their number, history; or {}."""
        if self._average is None or not self._rows:
            return {}
        weights = {name: value.cpu() for name, value in self._average.state_dict().items()}
        return {"weights": weights, "history": [list(row) for row in self._rows]}


def averaged_weights(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], int]:
    """The average's weights and buffers under the network's own names, and how many it is of."""
    weights = dict(state["weights"])
    count = int(weights.pop("n_averaged"))
    return {name.removeprefix("module."): value for name, value in weights.items()}, count


def table(
    columns: Sequence[str], history: Sequence[Row], average: Mapping[str, Any]
) -> tuple[list[str], list[list[Any]]]:
    """A training's table: a row per epoch and, where there is an average, its columns too.

    columns: those of the rows, epoch and learning rate first; the average's get a prefix, and are
    empty in the epochs before it.
    """
    rows: list[list[Any]] = [[int(epoch), *row] for epoch, *row in history]
    if not average:
        return list(columns), rows
    names = [f"average_{name}" for name in columns[2:]]
    of_average = {int(epoch): row for epoch, _, *row in average["history"]}
    empty = [""] * len(names)
    return [*columns, *names], [[*row, *of_average.get(row[0], empty)] for row in rows]


def equal_batches(batches: Iterable[Tensor]) -> Iterable[Tensor]:
    """The batches before a smaller one: `update_bn` gives each batch the same weight."""
    batches = iter(batches)
    first = next(batches, None)
    if first is None:
        return
    yield first
    yield from takewhile(lambda batch: len(batch) == len(first), batches)
