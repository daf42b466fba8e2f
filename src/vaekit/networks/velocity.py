"""Networks of a velocity v(z, t | context), over latent vectors and latent maps."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from vaekit.networks.glorot import glorot, scaled
from vaekit.networks.resnet import group_norm

FREQUENCIES = 16  # sines and cosines of t


def embedding(t: Tensor) -> Tensor:
    """Sines and cosines of times in [0, 1] at `FREQUENCIES` frequencies from 1/4 to 16 periods.

    Args:
        t: `[...]`.

    Returns:
        `[..., 2 * FREQUENCIES]`.
    """
    frequencies = 2 * math.pi * torch.logspace(-2, 4, FREQUENCIES, base=2, dtype=t.dtype, device=t.device)
    angles = t.unsqueeze(-1) * frequencies
    return torch.cat([angles.sin(), angles.cos()], -1)


class Conditioning(nn.Module):
    """The time, and a context `[..., F]` where there is one, as features `[..., width]`.

    Args:
        context: Number of features F of the context, 0 without one.
        width: Number of features.
    """

    def __init__(self, context: int, width: int):
        super().__init__()
        self.body = glorot(
            nn.Sequential(nn.Linear(2 * FREQUENCIES + context, width), nn.SiLU(), nn.Linear(width, width))
        )

    def forward(self, t: Tensor, context: Tensor | None) -> Tensor:
        both = embedding(t)
        if context is not None:
            lead = torch.broadcast_shapes(both.shape[:-1], context.shape[:-1])
            both = torch.cat([both.expand(*lead, -1), context.to(both).expand(*lead, -1)], -1)
        return self.body(both)


class VectorVelocity(nn.Module):
    """A residual MLP: z `[..., D]`, t `[...]` and a context `[..., F]` -> `[..., D]`, zero at initialization.

    Args:
        size: Number of dimensions D.
        context: Number of features F of the context, 0 without one.
        width: Width of the residual stream.
        blocks: Number of residual blocks, each of two linear layers.

    Example:
        >>> import torch
        >>> from vaekit.networks.velocity import VectorVelocity
        >>> VectorVelocity(3, 0, width=16, blocks=1)(torch.zeros(5, 3), torch.tensor(0.5), None).shape
        torch.Size([5, 3])
    """

    def __init__(self, size: int, context: int, width: int, blocks: int):
        super().__init__()
        self.conditioning = Conditioning(context, width)
        self.into = glorot(nn.Linear(size, width))
        self.shifts = nn.ModuleList(glorot(nn.Linear(width, width)) for _ in range(blocks))
        self.blocks = nn.ModuleList(
            glorot(nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)))
            for _ in range(blocks)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(blocks))
        self.out = scaled(glorot(nn.Linear(width, size)), 0.0)

    def forward(self, z: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        features, h = self.conditioning(t, context), self.into(z)
        for norm, shift, block in zip(self.norms, self.shifts, self.blocks, strict=True):
            h = h + block(norm(h) + shift(features))
        return self.out(nn.functional.silu(h))


class MapBlock(nn.Module):
    """A residual block of two convolutions, between which the conditioning is added to each channel.

    Args:
        into: Channels of the input.
        channels: Channels of the output.
        width: Number of features of the conditioning.
    """

    def __init__(self, into: int, channels: int, width: int):
        super().__init__()
        self.first = glorot(nn.Sequential(group_norm(into), nn.SiLU(), nn.Conv2d(into, channels, 3, padding=1)))
        self.shift = glorot(nn.Linear(width, channels))
        self.second = glorot(
            nn.Sequential(group_norm(channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1))
        )
        self.skip = glorot(nn.Conv2d(into, channels, 1)) if into != channels else nn.Identity()

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        return self.skip(x) + self.second(self.first(x) + self.shift(features)[..., None, None])


class MapVelocity(nn.Module):
    """A U-Net: z `[..., C, H, W]`, t `[...]` and a context -> `[..., C, H, W]`, zero at initialization.

    Each stage halves height and width while both are above 4, and doubles the channels once.

    Args:
        channels: Number of channels C.
        size: H and W.
        context: Shape of the context: (F,) for features, (F, H, W) for maps, () without one.
        width: Channels of the first stage.
        blocks: Number of residual blocks of each stage.

    Example:
        >>> import torch
        >>> from vaekit.networks.velocity import MapVelocity
        >>> MapVelocity(3, (8, 8), (), width=16, blocks=1)(torch.zeros(5, 3, 8, 8), torch.tensor(0.5), None).shape
        torch.Size([5, 3, 8, 8])
    """

    def __init__(self, channels: int, size: tuple[int, int], context: tuple[int, ...], width: int, blocks: int):
        super().__init__()
        self.reads_maps = len(context) == 3
        features, maps = (0, context[0]) if self.reads_maps else (sum(context), 0)
        self.down: Any
        self.up: Any
        stages = 1 + max(0, math.ceil(math.log2(min(size) / 4)))
        widths = [width, *[2 * width] * (stages - 1)]
        self.conditioning = Conditioning(features, 2 * width)
        self.into = glorot(nn.Conv2d(channels + maps, width, 3, padding=1))
        into = [width, *widths[:-1]]
        self.down = nn.ModuleList(
            nn.ModuleList(MapBlock(a if first else b, b, 2 * width) for first in [True, *[False] * (blocks - 1)])
            for a, b in zip(into, widths, strict=True)
        )
        self.up = nn.ModuleList(
            nn.ModuleList(MapBlock(2 * b if first else a, a, 2 * width) for first in [True, *[False] * (blocks - 1)])
            for a, b in zip(into[::-1], widths[::-1], strict=True)
        )
        self.out = nn.Sequential(
            group_norm(width), nn.SiLU(), scaled(glorot(nn.Conv2d(width, channels, 3, padding=1)), 0.0)
        )

    def forward(self, z: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        lead, x = z.shape[:-3], z
        if self.reads_maps and context is not None:
            x, context = torch.cat([z, context.to(z).expand(*lead, -1, -1, -1)], -3), None
        features = self.conditioning(t, context)
        features = features.expand(*lead, -1).reshape(-1, features.shape[-1])
        h, skips = self.into(x.reshape(-1, *x.shape[-3:])), []
        for number, stage in enumerate(self.down):
            h = avg_pool2d(h, 2, ceil_mode=True) if number else h
            for block in stage:
                h = block(h, features)
            skips.append(h)
        for stage in self.up:
            skip = skips.pop()
            h = torch.cat([h if h.shape == skip.shape else interpolate(h, skip.shape[-2:], mode="nearest"), skip], 1)
            for block in stage:
                h = block(h, features)
        return self.out(h).reshape(z.shape)
