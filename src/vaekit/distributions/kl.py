"""The Kullback-Leibler divergence, where it has a closed form."""

from torch import Tensor
from torch.distributions import Distribution, kl_divergence


def closed_form_kl(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q || p) in nats, of q's and p's common batch shape; None where no closed form is registered.

    torch dispatches on `Independent` and may only then find that the base distributions have no rule, so try.
    """
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return None
