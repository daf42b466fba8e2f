"""What the penalties with a critic share: a network that tells two kinds of examples apart."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from vaekit.networks.glorot import glorot
from vaekit.networks.mlp import layers


def discriminator(size: int, hidden: Sequence[int]) -> nn.Module:
    """Codes `[..., size]` -> a logit each, `[..., 1]`."""
    sizes = [size, *hidden]
    return glorot(nn.Sequential(*layers(sizes, "LeakyReLU"), nn.Linear(sizes[-1], 1)))


def frozen(critic: nn.Module) -> Callable[[Tensor], Any]:
    """The critic with its weights held fixed: a gradient passes through to its input and leaves nothing on the way."""
    weights = {name: weight.detach() for name, weight in critic.named_parameters()}
    return lambda x: functional_call(critic, weights, (x,))


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The cross-entropy, in nats, of logits that should be high for `real` and low for `fake`; log 2 for a coin."""
    return (softplus(-real).mean() + softplus(fake).mean()) / 2


def generator_loss(fake: Tensor) -> Tensor:
    """-log of the probability given to `fake` of being real: what who made it descends (Goodfellow et al. 2014,
    https://arxiv.org/abs/1406.2661, section 3, the form that does not saturate)."""
    return softplus(-fake).mean()
