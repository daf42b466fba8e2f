"""What the importance-weighted objectives share."""

import math

from torch import Tensor

from vaekit.terms import Terms, posterior


def log_mean_exp(x: Tensor) -> Tensor:
    """The log of the mean of exp(x) over the first dimension."""
    return x.logsumexp(0) - math.log(len(x))


def with_gradient_of(value: Tensor, surrogate: Tensor) -> Tensor:
    """`value`, whose gradient is that of `surrogate`."""
    return value.detach() + surrogate - surrogate.detach()


def with_scaled_path(terms: Terms, factor: Tensor) -> Tensor:
    """`terms.log_w`, of whose gradient what reaches the posterior through z is multiplied by `factor` `[K, B]`.

    For towers of height one. log q is scored anew, at a view of z: a flow that recognises its own draw answers with
    what it remembers, whose gradient goes around z.
    """
    (step,) = terms.steps
    z = step.z
    if not z.requires_grad:
        return terms.log_w
    z.register_hook(lambda grad: grad * factor.reshape(*factor.shape, *[1] * (grad.dim() - 2)))
    return terms.log_px + terms.log_pz[0] - posterior(step).log_prob(z.view_as(z))
