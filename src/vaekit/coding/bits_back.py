"""Bits-back coding with a VAE (Townsend, Bird and Barber 2019, https://arxiv.org/abs/1901.04866).

To add x to a stack of bits, pop z as a draw from q(z | x), then push x by p(x | z) and z by p(z). The stack grows by
-log p(x | z) - log p(z) + log q(z | x), on average by the negative ELBO. To restore x, do the reverse in reverse order,
which also returns the bits that z was drawn from.

Several latent levels are coded from the top. Batches are coded at once, the last batch first, because the stack returns
first what was pushed last.
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
from vaekit.entropy_coder import Code, flip_bits, new_coder
from vaekit.latents.tower import Level, Step, descend
from vaekit.refusal import Refusal
from vaekit.spaces import Codes, Image, Space
from vaekit.vae import VAE

DECODED = 2**24  # most numbers that the decoder computes at once, 128 MB
NOT_RESTORED = (
    "The examples did not come back as they were, so nothing was written: this machine computes the model "
    "differently from the one that compressed them; decompress there, with the same versions of vaekit, torch and "
    "constriction."
)


class Stream(NamedTuple):
    """Compressed examples.

    Args:
        words: 32-bit words `[W]`.
        spare: How many of the initial words of the stack stayed unchanged; they are not in `words`.
        sizes: The size of each batch, in the order of examples.
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
    """Compress examples.

    The first z is drawn from bits that carry no information, and a batch needs bits for all of its z. So batches start
    with one example and grow as the stack does.

    Args:
        vae: The model, in evaluation mode.
        x: Gray values as integers, `[N, *space.shape]`.
        batch_size: Largest batch.
        done: `done(n)` is called after each n examples.
        condition: The condition of each example, `[N, ...]`, for a conditional model. It is not part of the stream.

    Raises:
        Refusal: If the space has no gray values, or a distribution cannot be coded one dimension at a time.
    """
    _check_space(vae.space)
    first = _initial_words(vae)
    coder, sizes, end, size = new_coder(first), list[int](), len(x), 1
    lowest = coder.num_valid_bits()
    batch_size = min(batch_size, _max_batch(vae))
    with double_precision(vae) as device:
        while end:
            size = min(size, end)
            _whiten(coder, vae, size, end)
            before = coder.num_valid_bits()
            rows = slice(end - size, end)
            low = _push(coder, vae, torch.from_numpy(x[rows].astype(np.int64)), _slice(condition, rows), device)
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
    """Restore examples.

    Args:
        vae: The model, in evaluation mode.
        stream: What `encode` returned.
        done: `done(n)` is called after each n examples.
        condition: As in `encode`.

    Returns:
        Gray values as integers, `[N, *space.shape]`.

    Raises:
        Refusal: As `encode`, and if the stack does not end as it began.
    """
    _check_space(vae.space)
    first = _initial_words(vae)
    coder = new_coder(np.concatenate([first[: stream.spare], stream.words]))
    assert vae.space.bins is not None
    x, start = bytearray(), 0  # grows with the decoded data, not with the size that the header states
    dtype = np.min_scalar_type(vae.space.bins - 1)
    if max(stream.sizes) > _max_batch(vae):
        raise Refusal(NOT_RESTORED)
    with double_precision(vae) as device:
        for size in stream.sizes:
            rows = slice(start, start + size)
            x += _pop(coder, vae, size, _slice(condition, rows), device).numpy().astype(dtype).tobytes()
            start += size
            _whiten(coder, vae, size, start)
            done(size)
    if not np.array_equal(coder.get_compressed(), first):
        raise Refusal(NOT_RESTORED)
    return np.frombuffer(x, dtype).reshape(-1, *vae.space.shape)


def _check_space(space: Space) -> None:
    if not is_discrete(space):
        raise Refusal(
            f"Only images of discrete gray values can be coded without loss, and this run's values are {space.values}; "
            f"train on such images with {train_discrete(space)}."
        )


def train_discrete(space: Space) -> str:
    """The overrides of a model whose x can be coded exactly.

    Args:
        space: Space of the x of a model that cannot.
    """
    if type(space) is not Image:
        return "data=digits, or other images of gray values"
    if space.bins is None:
        return "data=arrays_uint8 data.path=FILE, a file of these images as uint8"
    return (
        "likelihood=discretized_logistic data.dequantize=false data.binarize=none, or likelihood=bernoulli "
        "data.binarize=fixed"
    )


def is_discrete(space: Space) -> bool:
    """Whether x has gray values, which can be coded exactly.

    Args:
        space: Space of x.
    """
    return space.bins is not None and not space.dequantized


@contextmanager
def double_precision(vae: VAE) -> Iterator[torch.device]:
    """A context in which the VAE computes in float64, on the device that it yields: the CPU if the device of the VAE
    has no float64.

    Args:
        vae: The model.
    """
    before, dtype = vae.device, vae.likelihood.bias.dtype
    device = torch.device("cpu") if before.type == "mps" else before
    vae.to(device).double()
    try:
        with torch.no_grad():
            yield device
    finally:
        vae.to(dtype).to(before)  # float32 to float64 and back loses nothing


def _push(coder: Any, vae: VAE, symbols: Tensor, condition: Tensor | None, device: torch.device) -> int:
    """Push a batch. Returns the number of bits that the stack held when z was drawn and nothing was pushed yet."""
    features, drawn = vae.encoder(_values(vae, symbols, device)), list[tuple[Code, Tensor]]()
    levels, start = vae.initial_state(condition)

    def pick(level: Level, state: Tensor | None, p: Distribution) -> Step:
        prior, grid = _prior(p, level, len(symbols))
        q = level.infer(features, state)
        z = _code("posterior", q, grid, _lives_on(level)).pop(coder)
        drawn.append((prior, z))
        return Step(grid.values(z.to(device)), q, p)

    px = vae.likelihood(descend(levels, pick, start).state)
    low = coder.num_valid_bits()
    _code("likelihood", px, None, lambda part: part.scores(vae.space)).push(coder, symbols)
    for prior, z in reversed(drawn):
        prior.push(coder, z)
    return low


def _pop(coder: Any, vae: VAE, n: int, condition: Tensor | None, device: torch.device) -> Tensor:
    """Pop a batch of n: `_push` in reverse."""
    drawn = list[tuple[Level, Tensor | None, Alphabet, Tensor]]()
    levels, start = vae.initial_state(condition)

    def pick(level: Level, state: Tensor | None, p: Distribution) -> Step:
        prior, grid = _prior(p, level, n)
        z = prior.pop(coder)
        drawn.append((level, state, grid, z))
        return Step(grid.values(z.to(device)), None, p)

    px = vae.likelihood(descend(levels, pick, start).state)
    symbols = _code("likelihood", px, None, lambda part: part.scores(vae.space)).pop(coder)
    if coder.num_valid_bits() <= 32:  # no word is left, but `_push` left at least the z of an example
        raise Refusal(NOT_RESTORED)
    features = vae.encoder(_values(vae, symbols, device))
    for level, state, grid, z in reversed(drawn):
        _code("posterior", level.infer(features, state), grid, _lives_on(level)).push(coder, z)
    return symbols


def _max_batch(vae: VAE) -> int:
    """The largest batch that the decoder may compute at once."""
    return max(1, DECODED // vae.likelihood.bias.numel())


def _slice(condition: Tensor | None, rows: slice) -> Tensor | None:
    return None if condition is None else condition[rows]


def _whiten(coder: Any, vae: VAE, size: int, end: int) -> None:
    """Make the bits that the z of a batch will be drawn from look random, by a mask that depends only on `end`.

    These bits hold the z of the batch before, which are not uniform where the aggregate posterior differs from the
    prior. The same call undoes it. The initial words of the stack are random already.
    """
    count = min(size * _dimensions(vae), (coder.num_valid_bits() - 32 * _initial_count(vae)) // 16)
    if count > 0:
        flip_bits(coder, np.frombuffer(hashlib.shake_256(b"%d" % end).digest(2 * count), "<u2"))


def _values(vae: VAE, symbols: Tensor, device: torch.device) -> Tensor:
    """Gray values in the data space."""
    assert vae.space.bins is not None
    return symbols.to(device).double() / (vae.space.bins - 1)


def _prior(p: Distribution, level: Level, n: int) -> tuple[Code, Alphabet]:
    try:
        alphabet = alphabet_of(p)
    except NotImplementedError:
        raise _refusal("prior", p, _lives_on(level)) from None
    return _code("prior", p.expand(torch.Size([n])), alphabet, _lives_on(level)), alphabet


def _code(group: str, d: Distribution, alphabet: Alphabet | None, fits: Callable[[Any], bool]) -> Code:
    try:
        return code(d, alphabet)
    except NotImplementedError:
        raise _refusal(group, d, fits) from None


def _lives_on(level: Level) -> Callable[[Any], bool]:
    """Whether a posterior or prior is over the kind of space of a level."""
    return lambda part: part.latent is type(level.space)


def _refusal(group: str, d: Distribution, fits: Callable[[Any], bool]) -> Refusal:
    """The refusal of a distribution `d` of the model's `group`, which names the choices that fit and can be coded."""
    kind = type(d.base_dist if isinstance(d, Independent) else d).__name__
    return Refusal(
        f"The {group} of this model ({kind}) cannot be coded one dimension at a time. Train another model with "
        f"{train_coded(group, fits)}."
    )


def train_coded(group: str, fits: Callable[[Any], bool]) -> str:
    """The overrides of a model that can be coded.

    Args:
        group: The group of the part that cannot.
        fits: Whether another part of the group can take its place.
    """
    others = choices(group, lambda part: Capability.CODED in part.gives and fits(part))
    return others or "posterior=gaussian prior=standard_normal"


def _initial_words(vae: VAE) -> np.ndarray:
    """The initial words of the stack, pseudorandom with a fixed seed: enough to draw the z of one example."""
    words = np.frombuffer(hashlib.shake_256(b"vaekit").digest(4 * _initial_count(vae)), "<u4").astype(np.uint32)
    words[-1] |= 2**31  # the highest bit marks the size
    return words


def _initial_count(vae: VAE) -> int:
    # a draw takes about 12 of the 32 bits; one more per level is for the component of a mixture
    return _dimensions(vae) + len(vae.latents.levels) + 1


def _dimensions(vae: VAE) -> int:
    """Number of dimensions of z that are drawn from bits."""
    drawn = (level.space for level in vae.latents.levels if Capability.DETERMINISTIC not in level.gives)
    return sum(math.prod(space.positions) if isinstance(space, Codes) else space.size for space in drawn)
