"""What the importance-weighted objectives share."""

import math

from torch import Tensor

from vaekit.refusal import Refusal


def log_mean_exp(x: Tensor) -> Tensor:
    """The log of the mean of exp(x) over the first dimension."""
    return x.logsumexp(0) - math.log(len(x))


def refuse_below_one(**counts: int) -> None:
    """Raise `Refusal` for the first count below 1."""
    for name, count in counts.items():
        if count < 1:
            raise Refusal(f"objective.{name}={count} must be at least 1; use objective.{name}=10.")


def with_gradient_of(value: Tensor, surrogate: Tensor) -> Tensor:
    """`value`, whose gradient is that of `surrogate`."""
    return value.detach() + surrogate - surrogate.detach()


def scale_gradient(z: Tensor, factor: Tensor) -> None:
    """Multiply what reaches the posterior through z `[K, B, ...]` by `factor` `[K, B]`; nothing else is touched."""
    if z.requires_grad:
        z.register_hook(lambda grad: grad * factor.reshape(*factor.shape, *[1] * (grad.dim() - 2)))
