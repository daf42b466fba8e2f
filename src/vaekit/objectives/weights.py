"""Functions of importance weights."""

import math

from torch import Tensor

from vaekit.terms import Terms, posterior


def log_mean_exp(x: Tensor) -> Tensor:
    """log of the mean of exp(x) over the first dimension.

    Args:
        x: `[K, ...]`.

    Returns:
        `[...]`.

    Example:
        >>> import torch
        >>> from vaekit.objectives.weights import log_mean_exp
        >>> log_mean_exp(torch.tensor([1.0, 3.0]).log())
        tensor(0.6931)
    """
    return x.logsumexp(0) - math.log(len(x))


def with_gradient_of(value: Tensor, surrogate: Tensor) -> Tensor:
    """A tensor with the value of one and the gradient of another.

    Args:
        value: `[...]`; gives the value.
        surrogate: `[...]`; gives the gradient.

    Example:
        >>> import torch
        >>> from vaekit.objectives.weights import with_gradient_of
        >>> x = torch.tensor(2.0, requires_grad=True)
        >>> with_gradient_of(x, x**2).backward()
        >>> x.grad
        tensor(4.)
    """
    return value.detach() + surrogate - surrogate.detach()


def with_scaled_path(terms: Terms, factor: Tensor) -> Tensor:
    """`terms.log_w`, with the gradient that reaches the posterior through z multiplied by a factor.

    For one latent level. log q is evaluated at a view of z, because a flow that recognizes its own draw returns the
    stored density, whose gradient does not pass through z.

    Args:
        terms: The terms of K draws, whose z require a gradient.
        factor: `[K, B]`.

    Returns:
        `[K, B]`, nats.
    """
    (step,) = terms.steps
    z = step.z
    if not z.requires_grad:
        return terms.log_w
    z.register_hook(lambda grad: grad * factor.reshape(*factor.shape, *[1] * (grad.dim() - 2)))
    return terms.log_px + terms.log_pz[0] - posterior(step).log_prob(z.view_as(z))
