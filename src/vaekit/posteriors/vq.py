"""The posterior of vector quantization (VQ)."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import embedding

from vaekit.capabilities import Capability
from vaekit.distributions.coded import nearest
from vaekit.distributions.precision import full_precision
from vaekit.distributions.quantized import Quantized
from vaekit.networks.glorot import head
from vaekit.posteriors.posterior import Posterior
from vaekit.refusal import at_least_one, below_one
from vaekit.spaces import Codes


class VQ(Posterior):
    """z is the codebook vector nearest to a linear function of the features (van den Oord et al. 2017).

    There is one code of `latents.dim` numbers a vector, or one at each position of a map. Gradients are
    straight-through.

    Args:
        context_shape: Shape of the features of a row, (F,) for vectors z or (C, H, W) for maps z.
        space: The space of z.
        codes: Number K of codes in the codebook.
        depth: Number of codes at each position: each quantizes the residual of those before, all from one codebook, and
            the likelihood reads their sum (Lee et al. 2022, section 3.1).
        ema: True: codes are exponential moving averages of the vectors quantized to them (the paper's appendix A.1),
            over all processes. False: codes are learned by gradient, with the paper's term from penalty=commitment.
        decay: Of the moving averages, which span about 1 / (1 - decay) steps.
        revive: A code used less often than this fraction of the mean use moves to a vector of the current batch; at the
            first step all codes do. 0 switches it off.

    Raises:
        Refusal: If `codes` or `depth` is below 1, or `decay` or `revive` is outside [0, 1).

    References:
        Aäron van den Oord, Oriol Vinyals, Koray Kavukcuoglu. Neural Discrete Representation Learning. In NeurIPS 2017.
            https://arxiv.org/abs/1711.00937
        (depth) Doyup Lee et al. Autoregressive Image Generation using Residual Quantization. In CVPR 2022.
            https://arxiv.org/abs/2203.01941
        (revive) Prafulla Dhariwal et al. Jukebox: A Generative Model for Music. arXiv 2020.
            https://arxiv.org/abs/2005.00341

    Example:
        >>> import torch
        >>> from vaekit.posteriors.vq import VQ
        >>> from vaekit.spaces import Codes
        >>> q = VQ((8, 4, 4), Codes((3, 4, 4)), codes=16)(torch.randn(5, 8, 4, 4))
        >>> q.sample().shape, q.indices.index.shape
        (torch.Size([5, 3, 4, 4]), torch.Size([5, 1, 4, 4]))
    """

    latent = Codes
    gives = frozenset(
        {
            Capability.RSAMPLE,
            Capability.LOG_PROB,
            Capability.DETERMINISTIC,
            Capability.QUANTIZED,
            Capability.MAPS,
            Capability.CODED,
        }
    )
    atoms: Tensor
    cluster_size: Tensor
    cluster_sum: Tensor

    def __init__(
        self,
        context_shape: tuple[int, ...],
        space: Codes,
        codes: int = 512,
        depth: int = 1,
        ema: bool = True,
        decay: float = 0.99,
        revive: float = 0.03,
    ):
        super().__init__()
        at_least_one(codes=(codes, 512), depth=(depth, 1))
        below_one(decay=(decay, 0.99), revive=(revive, 0.03))
        self.depth, self.ema, self.decay, self.revive = depth, ema, decay, revive
        width = space.shape[0]
        start = torch.randn(codes, width)
        if ema:
            self.register_buffer("atoms", start)
        else:
            self.atoms = nn.Parameter(start)
        # moving averages of the number of vectors quantized to each code in a step, and of their sum
        self.register_buffer("cluster_size", torch.zeros(codes))
        self.register_buffer("cluster_sum", torch.zeros(codes, width))
        shape = (depth * width, *space.shape[1:])
        self.space = replace(space, shape=shape, atoms=codes, width=width, codebook=self.codebook)
        self.head = head(context_shape, width)

    def embed(self, z: Tensor) -> Tensor:
        """The sum of the codes of all depths: z `[..., depth * D, *map]` -> `[..., D, *map]`."""
        return z.unflatten(-len(self.space.shape), (-1, self.space.width)).sum(-len(self.space.shape) - 1)

    def codebook(self) -> Tensor:
        """The current codes, `[K, D]`."""
        return self.atoms

    def forward(self, context: Tensor) -> Distribution:
        h = full_precision(self.head(context))
        if len(self.space.shape) == 3:
            h = h.movedim(-3, -1)
        atoms, residual, numbers, sources = self.atoms.detach(), h.detach(), [], []
        for _ in range(self.depth):
            numbers.append(nearest(residual, atoms))
            sources.append(residual)
            residual = residual - embedding(numbers[-1], atoms)
        # depths are stacked where groups of channels are, before the dimensions of a map
        axis = -len(self.space.shape)
        index, source = torch.stack(numbers, axis), torch.stack(sources, axis - 1)
        straight_through = source + (h - h.detach()).unsqueeze(axis - 1)
        q = Quantized(index, self.space, self.space.array(straight_through), 1 / self.depth)
        if self.training and torch.is_grad_enabled():
            self.update_codes(source, index)
        return q

    @torch.no_grad()
    def update_codes(self, points: Tensor, index: Tensor) -> None:
        """Move the codes towards the points `[..., D]` that are quantized to them as `index` `[...]`.

        Tensors are replaced, not changed in place: distributions of this step keep the codes they were made with.
        """
        points, index = points.flatten(0, -2), index.flatten()
        sizes = torch.zeros_like(self.cluster_size).index_add_(0, index, torch.ones_like(points[:, 0]))
        sums = torch.zeros_like(self.cluster_sum).index_add_(0, index, points)
        replacements = points[torch.randint(len(points), (len(sizes),), device=points.device)]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(sizes)
            torch.distributed.all_reduce(sums)
            torch.distributed.broadcast(replacements, 0)
        unused = sizes == 0
        self.cluster_size = self.cluster_size.lerp(sizes, 1 - self.decay)
        self.cluster_sum = self.cluster_sum.lerp(sums, 1 - self.decay)
        mean_size = self.cluster_size.mean()
        revived = unused & (self.cluster_size < self.revive * mean_size)
        self.cluster_size = torch.where(revived, mean_size, self.cluster_size)
        revived = revived.unsqueeze(1)
        self.cluster_sum = torch.where(revived, replacements * mean_size, self.cluster_sum)
        if self.ema:
            means = self.cluster_sum / self.cluster_size.clamp_min(1e-12).unsqueeze(1)
            self.atoms = torch.where(self.cluster_size.unsqueeze(1) > 0, means, self.atoms)
        else:
            # in place, as the optimizer does: the draws of this step hold none of the revived codes
            self.atoms.copy_(torch.where(revived, replacements, self.atoms))
