"""Products of single precision, on every device.

torch lets convolutions on recent GPUs round their factors to ten bits (TF32): good enough for a
step of training, not for eigenvalues with residuals of 1e-5.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def without_tf32() -> Iterator[None]:
    """Compute without TF32 for a while; usable as a decorator."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32 = matmul.allow_tf32 = False
    try:
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before
