"""A VAE with a standard normal prior, and another prior that is fitted to its latents at the same time."""

from dataclasses import replace

from torch import Tensor
from torch.distributions import Independent, Normal

from vaekit.capabilities import Capability
from vaekit.distributions.fitting import fitting_loss
from vaekit.objectives.elbo import ELBO
from vaekit.terms import Terms


class DetachedPrior(ELBO):
    """distortion + beta KL(q(z | x) || N(0, I)), plus the loss that fits the prior to draws from q(z | x).

    No gradient passes from the prior to these draws: encoder and likelihood are trained as with
    `prior=standard_normal`, and the prior learns the distribution of their latents. With a small beta z keeps details
    of x, and its distribution is far from a standard normal. `task=fit_prior` then fits the prior for longer, to
    latents that no longer change.

    Args:
        beta: Weight of the rate of the standard normal.
        free_bits: Nats below which that rate has no cost.
        balance: Has no effect on one level.
        num_samples: Number of draws of z for each example.

    References:
        Robin Rombach et al. High-Resolution Image Synthesis with Latent Diffusion Models. In CVPR 2022.
            https://arxiv.org/abs/2112.10752
        (beta) Irina Higgins et al. beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework.
            In ICLR 2017. https://openreview.net/forum?id=Sy2fzU9gl

    Example:
        >>> import torch
        >>> from torch.distributions import Independent, Normal
        >>> from vaekit.batch import Batch
        >>> from vaekit.latents.tower import Step
        >>> from vaekit.objectives.detached_prior import DetachedPrior
        >>> from vaekit.terms import Terms
        >>> q, p = (Independent(Normal(torch.ones(3, 2), scale), 1) for scale in (1.0, 2.0))
        >>> terms = Terms(Batch(torch.zeros(3, 4)), [Step(torch.ones(1, 3, 2), q, p)], None, torch.full((1, 3), -90.0))
        >>> DetachedPrior(beta=4.0)(terms, epoch=None)   # 90 + 4 - log p(z)
        tensor([97.2242, 97.2242, 97.2242])
    """

    requires = frozenset(
        {
            Capability.RSAMPLE,
            Capability.LOG_PROB,
            Capability.SINGLE_LEVEL,
            Capability.EUCLIDEAN,
            Capability.LEARNED_PRIOR,
        }
    )

    def __call__(self, terms: Terms, epoch: float | None) -> Tensor:
        """The loss of each example in nats, `[B]`."""
        (step,) = terms.steps
        zero = step.z.new_zeros(step.p.event_shape)
        normal = Independent(Normal(zero, 1.0, validate_args=False), zero.dim(), validate_args=False)
        detached = replace(terms, steps=[replace(step, p=normal)])
        return super().__call__(detached, epoch) + fitting_loss(step.p, step.z.detach()).mean(0)
