"""torchvision, importable beside any torch; nothing else in the project imports it directly.

The wheel on PyPI is built for CUDA. Beside a CPU-only torch its compiled operators do not load, and
its import stops because it describes two of them, `nms` and `qnms`, all the same. Declaring their
schemas is enough: data sets, transforms and models use neither.
"""

import sys

import torch

_operators: torch.library.Library | None = None  # the schemas last as long as this object

try:
    import torchvision
except RuntimeError as error:
    if "operator torchvision::nms does not exist" not in str(error):
        raise
    _operators = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        _operators.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    # the failed import leaves submodules behind that belong to no package
    for module in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[module]
    import torchvision

__all__ = ["torchvision"]
