"""Which outermost Ritz values count as eigenvalues: those before the first doubtful one.

Counted from an end of the spectrum inwards, Ritz values belong to the run while their residuals lie
below a share of the *local mean* spacing. The first that fails ends the run, also where later ones
pass. A rule on each value's own gap would leave out small gaps, and so bias spacing ratios away
from them.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

SHARE = 0.01  # of the local mean spacing
NEIGHBOURS = 10  # on either side, over which the spacing is averaged


def local_mean_spacing(values: ArrayLike, neighbours: int = NEIGHBOURS) -> Array:
    """Mean spacing (m,) of ascending `values` (m,) around each, over fewer neighbours at the ends.

    Raises ValueError for fewer than two values.
    """
    ordered = np.asarray(values, float)
    if len(ordered) < 2:
        raise ValueError(f"a mean spacing needs two values or more, not {len(ordered)}")
    index = np.arange(len(ordered))
    low, high = np.maximum(index - neighbours, 0), np.minimum(index + neighbours, len(ordered) - 1)
    return (ordered[high] - ordered[low]) / (high - low)


def certified_run(relative_residuals: ArrayLike, share: float = SHARE) -> tuple[int, int]:
    """How many Ritz values belong to the bottom's run and to the top's.

    relative_residuals: (m,) by ascending Ritz value, residuals over `local_mean_spacing`. The two
    runs overlap where all pass.
    """
    small = np.asarray(relative_residuals) < share
    return _leading(small), _leading(small[::-1])


def _leading(passed: NDArray[np.bool_]) -> int:
    return int(np.cumprod(passed).sum())
