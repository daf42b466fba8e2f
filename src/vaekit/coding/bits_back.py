"""Bits-back coding with a VAE (Townsend, Bird and Barber 2019, https://arxiv.org/abs/1901.04866).

To put x on a stack of bits, take z off it as a draw from q(z | x); then put x on it by p(x | z), and z by p(z). It
grows by -log p(x | z) - log p(z) + log q(z | x): on average by the bound that the VAE was trained for. To get x back,
walk the same way backwards, which also puts back the bits that z was drawn from.

A tower of several levels is walked from its top, as everywhere else. Whole batches go at once, the last one first, as
the last one in is the first one out.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vaekit.capabilities import Capability
from vaekit.configs import choices
from vaekit.distributions.codes import Alphabet, alphabet_of, code
from vaekit.entropy_coder import Code, new_coder, whitened
from vaekit.latents.tower import Level, Step, descend
from vaekit.refusal import Refusal
from vaekit.spaces import Codes
from vaekit.vae import VAE

DECODED = 2**24  # numbers that the decoder makes at once, at most: 128 MB
OTHERWISE = (
    "The examples did not come back as they were, so nothing was written: this machine computes the model otherwise "
    "than the one that compressed them; decompress there, with the same versions of vaekit, torch and constriction."
)


class Stream(NamedTuple):
    """What was coded: 32-bit words `[W]`, the size of each batch in the order of the examples.

    spare: how many of the words that the stack held at first stayed untouched; they are not in `words`.
    """

    words: np.ndarray
    spare: int
    sizes: list[int]


def encode(
    vae: VAE,
    x: np.ndarray,
    batch_size: int,
    done: Callable[[int], None] = lambda n: None,
    condition: Tensor | None = None,
) -> Stream:
    """Examples x, whole numbers `[N, *space.shape]` of grey levels, as a stream of bits.

    batch_size: at most so many at once. The first z is drawn from bits that carry nothing, and a batch needs as many as
    its z together; so batches begin with one example, and grow as fast as the stack can feed them.
    done(n) is called after n examples. condition: of each example, `[N, ...]`, where the model needs one; it is no part
        of the stream. The VAE is in evaluation mode.
    Raises `Refusal` where its space is not of grey levels, or a distribution's dimensions are not coded one by one.
    """
    check_space(vae)
    first = _first_words(vae)
    coder, sizes, end, size = new_coder(first), list[int](), len(x), 1
    lowest = coder.num_valid_bits()
    batch_size = min(batch_size, _most(vae))
    with double_precision(vae) as device:
        while end:
            size = min(size, end)
            _whiten(coder, vae, size, end)
            before = coder.num_valid_bits()
            rows = slice(end - size, end)
            low = _push(coder, vae, torch.from_numpy(x[rows].astype(np.int64)), _of(condition, rows), device)
            lowest, need = min(lowest, low), (before - low) / size
            sizes.append(size)
            end -= size
            done(size)
            size = int((coder.num_valid_bits() - lowest) / (1.25 * need + 1))
            size = min(max(size, 1), batch_size)
    words = coder.get_compressed()
    shared = min(len(first), len(words))
    spare = int(np.cumprod(first[:shared] == words[:shared]).sum())
    return Stream(words[spare:], spare, sizes[::-1])


def decode(
    vae: VAE, stream: Stream, done: Callable[[int], None] = lambda n: None, condition: Tensor | None = None
) -> np.ndarray:
    """The examples `[N, *space.shape]` of a stream, as `encode` was given them; condition: as there.

    Raises `Refusal` as `encode` does, and if the stack does not end as it began.
    """
    check_space(vae)
    first = _first_words(vae)
    coder = new_coder(np.concatenate([first[: stream.spare], stream.words]))
    assert vae.space.levels is not None
    x, dtype, start = bytearray(), np.min_scalar_type(vae.space.levels - 1), 0  # grows by what is there, not announced
    if max(stream.sizes) > _most(vae):
        raise Refusal(OTHERWISE)
    with double_precision(vae) as device:
        for size in stream.sizes:
            rows = slice(start, start + size)
            x += _pop(coder, vae, size, _of(condition, rows), device).numpy().astype(dtype).tobytes()
            start += size
            _whiten(coder, vae, size, start)
            done(size)
    if not np.array_equal(coder.get_compressed(), first):
        raise Refusal(OTHERWISE)
    return np.frombuffer(x, dtype).reshape(-1, *vae.space.shape)


def check_space(vae: VAE) -> None:
    """Raise `Refusal` unless x has grey levels that can be coded exactly."""
    space = vae.space
    if space.levels is None or space.dequantized:
        raise Refusal(
            f"Only images of whole grey levels can be coded without loss, and this run's values are {space.values}; "
            "train on such images with likelihood=discretized_logistic data.dequantize=false data.binarize=none, or "
            "likelihood=bernoulli data.binarize=fixed."
        )


@contextmanager
def double_precision(vae: VAE) -> Iterator[torch.device]:
    """Within, the VAE computes in float64, on the device that is given: its own, or the CPU where that has none."""
    before, dtype = vae.device, vae.likelihood.bias.dtype
    device = torch.device("cpu") if before.type == "mps" else before
    vae.to(device).double()
    try:
        with torch.no_grad():
            yield device
    finally:
        vae.to(dtype).to(before)  # float32 to float64 and back loses nothing


def _push(coder: Any, vae: VAE, symbols: Tensor, condition: Tensor | None, device: torch.device) -> int:
    """Put a batch on the stack. The number of bits that it held at its lowest, with z drawn and nothing put back."""
    features, drawn = vae.encoder(_values(vae, symbols, device)), list[tuple[Code, Tensor]]()
    levels, start = vae.initial_state(condition)

    def pick(level: Level, state: Tensor | None, p: Distribution) -> Step:
        prior, grid = _prior(p, level, len(symbols))
        q = level.infer(features, state)
        z = _code("posterior", q, grid, _over(level)).pop(coder)
        drawn.append((prior, z))
        return Step(grid.values(z.to(device)), q, p)

    px = vae.likelihood(descend(levels, pick, start).state)
    low = coder.num_valid_bits()
    _code("likelihood", px, None, lambda part: part.scores(vae.space)).push(coder, symbols)
    for prior, z in reversed(drawn):
        prior.push(coder, z)
    return low


def _pop(coder: Any, vae: VAE, n: int, condition: Tensor | None, device: torch.device) -> Tensor:
    """Take a batch of n off the stack: `_push` backwards."""
    drawn = list[tuple[Level, Tensor | None, Alphabet, Tensor]]()
    levels, start = vae.initial_state(condition)

    def pick(level: Level, state: Tensor | None, p: Distribution) -> Step:
        prior, grid = _prior(p, level, n)
        z = prior.pop(coder)
        drawn.append((level, state, grid, z))
        return Step(grid.values(z.to(device)), None, p)

    px = vae.likelihood(descend(levels, pick, start).state)
    symbols = _code("likelihood", px, None, lambda part: part.scores(vae.space)).pop(coder)
    if coder.num_valid_bits() <= 32:  # no word is left, while `_push` left the z of a whole example and more
        raise Refusal(OTHERWISE)
    features = vae.encoder(_values(vae, symbols, device))
    for level, state, grid, z in reversed(drawn):
        _code("posterior", level.infer(features, state), grid, _over(level)).push(coder, z)
    return symbols


def _most(vae: VAE) -> int:
    """How many examples a batch may have."""
    return max(1, DECODED // vae.likelihood.bias.numel())


def _of(condition: Tensor | None, rows: slice) -> Tensor | None:
    return None if condition is None else condition[rows]


def _whiten(coder: Any, vae: VAE, size: int, end: int) -> None:
    """Make the bits that the z of a batch will be drawn from look random, by others that only depend on `end`.

    They hold the z of the batch before, and where posteriors do not add up to the prior they are not. Done twice, it
    undoes itself. What the stack held at first is random already.
    """
    count = min(size * _dimensions(vae), (coder.num_valid_bits() - 32 * _first_count(vae)) // 16)
    if count > 0:
        whitened(coder, np.frombuffer(hashlib.shake_256(b"%d" % end).digest(2 * count), "<u2"))


def _values(vae: VAE, symbols: Tensor, device: torch.device) -> Tensor:
    """Grey levels in the data space."""
    assert vae.space.levels is not None
    return symbols.to(device).double() / (vae.space.levels - 1)


def _prior(p: Distribution, level: Level, n: int) -> tuple[Code, Alphabet]:
    try:
        alphabet = alphabet_of(p)
    except NotImplementedError:
        raise _refusal("prior", p, _over(level)) from None
    return _code("prior", p.expand(torch.Size([n])), alphabet, _over(level)), alphabet


def _code(group: str, d: Distribution, alphabet: Alphabet | None, fits: Callable[[Any], bool]) -> Code:
    try:
        return code(d, alphabet)
    except NotImplementedError:
        raise _refusal(group, d, fits) from None


def _over(level: Level) -> Callable[[Any], bool]:
    """Whether a posterior or prior is over the kind of space of a level."""
    return lambda part: part.latent is type(level.space)


def _refusal(group: str, d: Distribution, fits: Callable[[Any], bool]) -> Refusal:
    """The refusal of a distribution `d` of the model's `group`, and which of those that fit are coded."""
    kind = type(d.base_dist if isinstance(d, Independent) else d).__name__
    others = choices(group, lambda part: Capability.CODED in part.gives and fits(part))
    return Refusal(
        f"The {group} of this model ({kind}) cannot be coded one dimension at a time. Train another model with "
        f"{others or 'posterior=gaussian prior=standard_normal'}."
    )


def _first_words(vae: VAE) -> np.ndarray:
    """Random words, always the same, that the stack holds at first: enough to draw the z of one example from."""
    words = np.frombuffer(hashlib.shake_256(b"vaekit").digest(4 * _first_count(vae)), "<u4").astype(np.uint32)
    words[-1] |= 2**31  # all of its bits count
    return words


def _first_count(vae: VAE) -> int:
    # a draw takes 12 bits or so of the 32; one more a level is for the component of a mixture
    return _dimensions(vae) + len(vae.latents.levels) + 1


def _dimensions(vae: VAE) -> int:
    """Of z, as far as it is drawn from bits."""
    drawn = (level.space for level in vae.latents.levels if Capability.DETERMINISTIC not in level.gives)
    return sum(math.prod(space.positions) if isinstance(space, Codes) else space.size for space in drawn)
