"""Critics: networks that separate two kinds of examples, and their losses."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from vaekit.networks.glorot import glorot
from vaekit.networks.mlp import layers


def discriminator(size: int, hidden: Sequence[int]) -> nn.Module:
    """A critic of vectors, by a fully connected network.

    Args:
        size: Length D of a vector.
        hidden: Widths of the hidden layers.

    Returns:
        A module, `[..., D]` -> logits `[..., 1]`.
    """
    sizes = [size, *hidden]
    return glorot(nn.Sequential(*layers(sizes, "LeakyReLU"), nn.Linear(sizes[-1], 1)))


def frozen(critic: nn.Module) -> Callable[[Tensor], Any]:
    """A critic whose weights get no gradient, while its input does.

    Args:
        critic: The network.

    Returns:
        A function of the network's input.
    """
    weights = {name: weight.detach() for name, weight in critic.named_parameters()}
    return lambda x: functional_call(critic, weights, (x,))


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The cross-entropy of logits that should be high for real examples and low for generated ones.

    Args:
        real: Logits of real examples.
        fake: Logits of generated examples.

    Returns:
        `[]`, nats; log 2 for logits of 0.

    Example:
        >>> import torch
        >>> from vaekit.penalties.critic import discriminator_loss
        >>> discriminator_loss(torch.zeros(5), torch.zeros(5))
        tensor(0.6931)
    """
    return (softplus(-real).mean() + softplus(fake).mean()) / 2


def generator_loss(fake: Tensor) -> Tensor:
    """-log of the probability that the critic gives generated examples of being real, in its non-saturating form.

    Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, section 3.

    Args:
        fake: Logits of generated examples.

    Returns:
        `[]`, nats.

    Example:
        >>> import torch
        >>> from vaekit.penalties.critic import generator_loss
        >>> generator_loss(torch.zeros(5))
        tensor(0.6931)
    """
    return softplus(-fake).mean()
