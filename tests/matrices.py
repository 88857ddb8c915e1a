"""Matrices with known eigenvalues, and as operators: what tests of Krylov methods begin with."""

import numpy as np
import torch


class Dense:
    """A dense matrix as an operator."""

    def __init__(self, matrix):
        self.matrix = torch.as_tensor(matrix, dtype=torch.float64)
        self.shape = tuple(self.matrix.shape)

    def matvec(self, v):
        return self.matrix @ v


def symmetric(eigenvalues, seed=0):
    """A symmetric matrix with these eigenvalues and random eigenvectors."""
    size = len(eigenvalues)
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))
    matrix = (q * np.asarray(eigenvalues, float)) @ q.T
    return (matrix + matrix.T) / 2
