"""A decoder with small gradients."""

import torch
from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.penalties.penalty import Penalty
from vaekit.terms import Terms
from vaekit.vae import VAE


class Gradient(Penalty):
    """|d E[x | z] / dz|^2, the squared Frobenius norm of the decoder's Jacobian, averaged over draws of z.

    The penalty of the RAE-GP. An unbiased estimate by one random sign for each value of x (Hutchinson 1990), for one
    more pass through the likelihood's network.

    References:
        Partha Ghosh et al. From Variational to Deterministic Autoencoders. In ICLR 2020.
            https://arxiv.org/abs/1903.12436

    Example:
        >>> import torch, vaekit
        >>> from vaekit.penalties.gradient import Gradient
        >>> from vaekit.spaces import Real
        >>> vae = vaekit.build(Real((3,)), "model=mlp_vae", "likelihood=gaussian", "latents.dim=2")
        >>> bool(Gradient(vae)(vae(torch.randn(4, 3)), vae, epoch=None) > 0)
        True
    """

    requires = frozenset({Capability.RSAMPLE, Capability.DOUBLE_BACKWARD, Capability.QUANTITIES})

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():  # in validation too
            zs = [step.z.clone() if step.z.requires_grad else step.z.clone().requires_grad_() for step in terms.steps]
            x = vae.likelihood(vae.replay(zs, vae.condition_of(terms.batch)).state).mean
            signs = torch.randint_like(x, 2) * 2 - 1
            # zeros for levels that x does not depend on directly
            slopes = torch.autograd.grad(x, zs, signs, create_graph=True, materialize_grads=True)
        return sum((slope.flatten(2).square().sum(-1).mean() for slope in slopes), x.new_zeros(()))
