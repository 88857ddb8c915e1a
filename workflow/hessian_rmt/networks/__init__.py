"""Networks by name, or by the import path of the user's own builder."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hessian_rmt.errors import UserError

if TYPE_CHECKING:
    from torch import nn

# The library's own networks, as import paths: naming one imports its module alone.
BUILDERS = {
    "mlp": "hessian_rmt.networks.mlp:mlp",
    "preresnet": "hessian_rmt.networks.preresnet:preresnet",
    "vgg": "hessian_rmt.networks.vgg:vgg",
    "wide_resnet": "hessian_rmt.networks.wide_resnet:wide_resnet",
    "imagenet_resnet": "hessian_rmt.networks.imagenet:imagenet_resnet",
    "resnet34_imagenet": "hessian_rmt.networks.pretrained:resnet34_imagenet",
}


def build_network(
    settings: Mapping[str, Any], input_shape: Sequence[int], classes: int, *, seed: int
) -> nn.Module:
    """The freshly initialised network of a run's `network` settings.

    settings: {name, arguments}; name is one of `BUILDERS` or ``package.module:function``, called
    as ``function(input_shape, classes, **arguments)``. The initial weights depend on `seed` alone.
    Raises UserError when the builder cannot be found, fails, or returns no `nn.Module`.
    """
    import torch
    from torch import nn

    path = BUILDERS.get(settings["name"], settings["name"])
    module_name, _, function_name = path.partition(":")
    try:
        builder = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"cannot find the network {settings['name']!r}: {error}") from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            network = builder(tuple(input_shape), classes, **settings.get("arguments", {}))
        except Exception as error:
            raise UserError(
                f"the network {settings['name']!r} could not be built with the arguments "
                f"{dict(settings.get('arguments', {}))}: {type(error).__name__}: {error}"
            ) from error
    if not isinstance(network, nn.Module):
        raise UserError(
            f"the builder {settings['name']!r} returned {type(network).__name__}, "
            "where a torch.nn.Module is needed"
        )
    return network
