"""Log-probabilities of the observed values of rows of which others are missing."""

from torch import Tensor
from torch.distributions import Distribution, Independent


class Marginal(Distribution):
    """A distribution of whole rows that also has the log-probability of some values without the others."""

    def log_prob_observed(self, value: Tensor, observed: Tensor) -> Tensor:
        """log p of the observed values, `[...]`, nats.

        Args:
            value: `[..., *event_shape]`.
            observed: Which values are observed, in the same shape.
        """
        raise NotImplementedError


def log_prob_observed(px: Distribution, value: Tensor, observed: Tensor) -> Tensor:
    """log p of the observed values of rows, by a distribution that is `Marginal`, or of each value separately.

    Args:
        px: p(x), of `torch.distributions.Independent`.
        value: `[..., *event_shape]`.
        observed: Which values are observed, in the same shape.

    Returns:
        `[...]`, nats.

    Example:
        >>> import torch
        >>> from torch.distributions import Independent, Normal
        >>> from vaekit.distributions.marginal import log_prob_observed
        >>> p = Independent(Normal(torch.zeros(2), 1.0), 1)
        >>> log_prob_observed(p, torch.zeros(2), torch.tensor([True, False]))
        tensor(-0.9189)
    """
    assert isinstance(px, Independent), "likelihoods that do not factorize are refused"
    if isinstance(px.base_dist, Marginal):
        return px.base_dist.log_prob_observed(value, observed)
    each = px.base_dist.log_prob(value)
    dims = list(range(-px.reinterpreted_batch_ndims, 0))
    return each.where(observed, 0).sum(dims)  # not a product: a missing value may score -inf, and 0 * -inf is NaN
