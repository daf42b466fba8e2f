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

BEYOND = ("added_tokens", "padding", "post_processor", "truncation")  # what `learn` does without
PAD, END, UNKNOWN = range(3)  # the numbers of <pad>, <eos> and <unk> among the tokens of a text


@contextmanager
def _tokenizing() -> Iterator[None]:
    """Within, what the library raises is a `Refusal`: its panics, too, which are no `Exception`."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise Refusal(f"The run's tokenizer is broken ({error}); train the run again.") from error
        raise


def spoken(tokens: Tensor) -> Tensor:
    """Which of the token numbers `[..., T]` belong to the sentence, up to and with <eos>; the others are padding."""
    end = tokens == END
    return end.cumsum(-1) - end.long() == 0


@dataclass(frozen=True)
class Text(Space):
    """Sentences of at most T tokens, shape (T,): token numbers, then <eos> and padding where they do not fill T.

    tokenizer: that of the library `tokenizers`, as JSON, whose tokens 0, 1 and 2 are <pad>, <eos> and <unk>.
    """

    tokenizer: str = field(default="", repr=False)

    @property
    def values(self) -> str:
        return "tokens"

    @cached_property
    def vocabulary(self) -> int:
        """How many tokens there are, <pad>, <eos> and <unk> among them."""
        try:
            described = parse_json(self.tokenizer)
            numbers = described["model"]["vocab"].values()
            plain = not any(described.get(part) for part in BEYOND)
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
        assert self.vocabulary  # which refuses others than ours
        with _tokenizing():
            return Tokenizer.from_str(self.tokenizer)

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """The token numbers of each sentence, however many, without <eos>."""
        tokenizer = self._tokenizer
        with _tokenizing():
            return [each.ids for each in tokenizer.encode_batch(list(sentences))]

    def pad(self, sentences: Sequence[Sequence[int]]) -> np.ndarray:
        """x `[n, *shape]` of token numbers as `encode` gives them; what goes beyond T is cut."""
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
        if (x != x.round()).any() or ((x == PAD) == spoken(x)).any() or (x < 0).any() or (x >= self.vocabulary).any():
            raise Refusal(
                f"Got numbers that are no sentence, expected tokens from {END} to {self.vocabulary - 1}, and {PAD} "
                f"behind an <eos>, {END}; write sentences into a file, one a line, and use task.input=FILE.txt."
            )
