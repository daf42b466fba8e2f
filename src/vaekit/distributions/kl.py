"""The Kullback-Leibler divergence, where it has a closed form."""

from torch import Tensor
from torch.distributions import Distribution, kl_divergence


def closed_form_kl(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q || p) in nats, of the common batch shape; None if no closed form is registered.

    Args:
        q: The posterior.
        p: The prior.

    Example:
        >>> from torch.distributions import Cauchy, Normal
        >>> from vaekit.distributions.kl import closed_form_kl
        >>> closed_form_kl(Normal(1.0, 1.0), Normal(0.0, 1.0)).item()
        0.5
        >>> closed_form_kl(Cauchy(0.0, 1.0), Normal(0.0, 1.0)) is None
        True
    """
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return None
