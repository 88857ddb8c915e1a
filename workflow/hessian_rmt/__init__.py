"""Random-matrix theory of neural-network Hessians: the library behind the workflow.

The packages follow the flow of the workflow, and imports point one way, down this list:
``figures`` -> ``rmt``; ``curvature``, ``training`` -> ``networks``, ``data``; all -> ``storage``,
``seeds``, ``errors``. Only ``curvature``, ``training``, ``networks`` and ``data`` import torch.
"""
