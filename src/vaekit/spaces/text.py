"""Sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from vaekit.refusal import Refusal
from vaekit.spaces.space import Space
from vaekit.whole_file import parse_json

UNUSED_PARTS = ("added_tokens", "padding", "post_processor", "truncation")  # of a tokenizer: never written
PAD, END, UNKNOWN = range(3)  # the token numbers of <pad>, <eos> and <unk> among the tokens of a text


@contextmanager
def _tokenizing() -> Iterator[None]:
    """Turn what the library raises into a `Refusal`, including its panics, which are not an `Exception`."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise Refusal(f"The run's tokenizer is broken ({error}); train the run again.") from error
        raise


def sentence_mask(tokens: Tensor) -> Tensor:
    """Which tokens belong to the sentence, up to and including <eos>; the others are padding.

    Args:
        tokens: Token numbers `[..., T]`.

    Returns:
        `[..., T]`, bool.

    Example:
        >>> import torch
        >>> from vaekit.spaces import sentence_mask
        >>> sentence_mask(torch.tensor([5, 3, 1, 0]))
        tensor([ True,  True,  True, False])
    """
    end = tokens == END
    return end.cumsum(-1) - end.long() == 0


@dataclass(frozen=True)
class Text(Space):
    """Sentences of at most T tokens: token numbers, then <eos> and padding if there are fewer.

    Args:
        shape: (T,).
        tokenizer: A tokenizer of the library `tokenizers` as JSON; its tokens 0, 1 and 2 are <pad>, <eos> and <unk>.

    Raises:
        Refusal: By its methods, if the tokenizer is not one that vaekit wrote, or the library is missing.

    Example:
        >>> from vaekit.spaces import Text
        >>> space = Text((4,), tokenizer='{"model": {"vocab": {"<pad>": 0, "<eos>": 1, "<unk>": 2, "a": 3}}}')
        >>> space.vocabulary, space.pad([[3, 3]]).tolist()
        (4, [[3, 3, 1, 0]])
    """

    tokenizer: str = field(default="", repr=False)

    @property
    def values(self) -> str:
        return "tokens"

    @cached_property
    def vocabulary(self) -> int:
        """Number of tokens, including <pad>, <eos> and <unk>."""
        try:
            described = parse_json(self.tokenizer)
            numbers = described["model"]["vocab"].values()
            plain = not any(described.get(part) for part in UNUSED_PARTS)
            if plain and sorted(numbers) == list(range(len(numbers))) and len(numbers) > UNKNOWN:
                return len(numbers)
        except (ValueError, TypeError, KeyError, AttributeError):
            pass
        raise Refusal("The run's tokenizer is not one that vaekit has written. Train the run again.")

    @cached_property
    def _tokenizer(self) -> Any:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise Refusal("Text needs the library tokenizers; type: pip install '.[text]'") from None
        assert self.vocabulary  # refuses a tokenizer that vaekit did not write
        with _tokenizing():
            return Tokenizer.from_str(self.tokenizer)

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """The token numbers of each sentence, however many, without <eos>."""
        tokenizer = self._tokenizer
        with _tokenizing():
            return [each.ids for each in tokenizer.encode_batch(list(sentences))]

    def pad(self, sentences: Sequence[Sequence[int]]) -> np.ndarray:
        """x `[n, *shape]` of token numbers as `encode` returns them, cut after T."""
        x = np.full((len(sentences), *self.shape), PAD, dtype=np.int32)
        for row, numbers in zip(x, sentences, strict=True):
            whole = [*numbers, END][: self.size]
            row[: len(whole)] = whole
        return x

    def decode(self, x: Tensor) -> list[str]:
        """The sentences of x `[n, *shape]`."""
        rows = [[number for number in row if number not in (PAD, END)] for row in x.long().tolist()]
        tokenizer = self._tokenizer
        with _tokenizing():
            return [each.strip() for each in tokenizer.decode_batch(rows, skip_special_tokens=False)]

    def check_readable(self, x: Tensor) -> None:
        super().check_readable(x)
        if (
            (x != x.round()).any()
            or ((x == PAD) == sentence_mask(x)).any()
            or (x < 0).any()
            or (x >= self.vocabulary).any()
        ):
            raise Refusal(
                f"Got numbers that are not a sentence, expected token ids from {END} to {self.vocabulary - 1}, and "
                f"{PAD} after an <eos>, {END}; write sentences into a file, one per line, and use task.input=FILE.txt."
            )
