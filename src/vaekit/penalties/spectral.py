"""Spectral norms of the weights, for smooth networks."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from vaekit.networks.glorot import LAYERS, TRANSPOSED
from vaekit.penalties.penalty import Penalty
from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE


class Spectral(Penalty):
    """The sum of the largest singular values of the weights of all layers, each as a matrix `[out, in * kernel size]`.

    Vahdat and Kautz 2020, section 3.2, for towers whose rates grow without bound. One step of power iteration in each
    training step tracks the singular values (Yoshida and Miyato 2017, section 3.2).

    Args:
        vae: The model whose weights are penalized.
        weight: Coefficient of the penalty in the loss, a number or a schedule.

    References:
        Arash Vahdat, Jan Kautz. NVAE: A Deep Hierarchical Variational Autoencoder. In NeurIPS 2020.
            https://arxiv.org/abs/2007.03898
        Yuichi Yoshida, Takeru Miyato. Spectral Norm Regularization for Improving the Generalizability of Deep Learning.
            arXiv 2017. https://arxiv.org/abs/1705.10941

    Example:
        >>> import torch
        >>> from vaekit.penalties.spectral import Spectral
        >>> layer = torch.nn.Linear(2, 2)
        >>> torch.nn.init.eye_(layer.weight).shape
        torch.Size([2, 2])
        >>> Spectral(layer)(None, layer, epoch=None)
        tensor(1., grad_fn=...)
    """

    right_singular_vectors: Tensor

    def __init__(self, vae: VAE, weight: float | Schedule = 0.1):
        super().__init__(vae, weight)
        starts = [torch.randn_like(each[0]) for each in matrices(vae)]
        self.register_buffer("right_singular_vectors", torch.cat(starts))  # singular vectors, one after another

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        with torch.autocast(self.right_singular_vectors.device.type, enabled=False):
            weights = matrices(vae)
            with torch.no_grad():
                parts = self.right_singular_vectors.split([each.shape[1] for each in weights])
                left = [normalize(each @ v, dim=0) for each, v in zip(weights, parts, strict=True)]
                right = [
                    torch.where(u.any(), normalize(u @ each, dim=0), v)  # a layer of zeros keeps its start
                    for each, u, v in zip(weights, left, parts, strict=True)
                ]
                if self.training:
                    self.right_singular_vectors = torch.cat(right)
            return torch.stack([u @ each @ v for each, u, v in zip(weights, left, right, strict=True)]).sum()


def matrices(vae: VAE) -> list[Tensor]:
    """The weights of the linear and convolutional layers of a model, as matrices.

    Args:
        vae: The model.

    Returns:
        Tensors `[out, in * kernel size]`.
    """
    layers = [layer for layer in vae.modules() if isinstance(layer, LAYERS)]
    weights = (each.weight.transpose(0, 1) if isinstance(each, TRANSPOSED) else each.weight for each in layers)
    return [weight.flatten(1) for weight in weights]
