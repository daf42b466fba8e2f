"""Text files with one sentence per line."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from vaekit.data.files import read_text
from vaekit.data.source import Rows, Source, Split
from vaekit.refusal import Refusal
from vaekit.spaces import UNKNOWN
from vaekit.spaces import Text as Space

log = logging.getLogger(__name__)

UNKNOWN_AT_MOST = 0.2  # of all tokens
WORD_AT_MOST = 9  # letters between blanks, on average
UNITS = {"word": "word", "bpe": "token", "char": "character"}
WORDS = r" ?<unk>| ?\w+| ?[^\w\s]|\s"  # a word or a mark, with the space before it, so that sentences come back whole


class Text(Source):
    """A text file in UTF-8, one sentence a line, and optionally another one of test sentences.

    The tokenizer is learned from all lines of `path`. A word or character that is not in the vocabulary becomes <unk>,
    and what exceeds `length` is cut; both are logged.

    Args:
        path: The file.
        test_path: A file of test sentences.
        unit: `word`, of words and marks; `bpe`, of parts of words by byte-pair encoding, which covers every word; or
            `char`.
        length: Tokens of a sentence at most, <eos> included.
        vocabulary: The most frequent tokens are kept, so many at most.
        min_count: Occurrences that a word or character needs.

    Raises:
        Refusal: If a file cannot be read; the message names file and line.
    """

    suffixes = (".txt",)

    def __init__(
        self,
        path: str | Path | None,
        test_path: str | Path | None = None,
        unit: str = "word",
        length: int = 64,
        vocabulary: int = 10_000,
        min_count: int = 3,
    ):
        if path is None:
            raise Refusal("data.path is not set; name a text file with a sentence a line: data.path=sentences.txt.")
        if unit not in UNITS:
            raise Refusal(f"Got data.unit={unit}, expected one of {', '.join(UNITS)}: data.unit=word.")
        least = 300 if unit == "bpe" else 4  # every byte is a token of byte-pair encoding
        settings = {"length": (length, 2), "vocabulary": (vocabulary, least), "min_count": (min_count, 1)}
        for name, (value, lowest) in settings.items():
            if value < lowest:
                raise Refusal(f"Got data.{name}={value}, expected at least {lowest}. Use data.{name}={lowest}.")
        self.path, self.test_path = Path(path).expanduser(), test_path
        self.unit, self.length, self.vocabulary, self.min_count = unit, length, vocabulary, min_count
        self.name = self.path.stem

    @cached_property
    def space(self) -> Space:
        space = Space((self.length,), learn(self._lines, self.unit, self.vocabulary, self.min_count))
        longest = max(map(len, space.encode(self._lines)))
        return Space((min(self.length, longest + 1),), space.tokenizer)

    def load(self, split: Split) -> Rows | None:
        return self._train if split == "train" else self._test

    @cached_property
    def _train(self) -> Rows:
        return self._rows(self.path, self._lines)

    @cached_property
    def _test(self) -> Rows | None:
        return None if self.test_path is None else self._rows(Path(self.test_path).expanduser(), read(self.test_path))

    def _rows(self, path: Path, lines: list[str]) -> Rows:
        sentences = self.space.encode(lines)
        refuse_unknown(path, lines, sentences, self._suggested_settings if lines is self._lines else ())
        unknown, tokens = sum(each.count(UNKNOWN) for each in sentences), sum(map(len, sentences))
        if unknown:
            log.info(f"{path}: {unknown:,} of {tokens:,} {UNITS[self.unit]}s are not in the vocabulary: <unk>.")
        cut = sum(len(each) >= self.space.size for each in sentences)
        if cut:
            log.info(
                f"{path}: {cut:,} of {len(lines):,} lines are longer than data.length={self.space.size} and cut; "
                f"the longest would fit in data.length={max(map(len, sentences)) + 1}."
            )
        return Rows(self.space.pad(sentences))

    @property
    def _suggested_settings(self) -> list[str]:
        """Settings with which most tokens of the lines are in the vocabulary."""
        # without spaces between words, as in Chinese, Japanese or Thai, most text between two marks is unique
        spaced = len("".join(self._lines)) < WORD_AT_MOST * sum(len(line.split()) for line in self._lines)
        unit, min_count = (self.unit, 1) if spaced or self.unit == "char" else ("char", self.min_count)
        space = Space((1,), learn(self._lines, unit, self.vocabulary, min_count))
        found = []
        if _unknown(self._lines, space.encode(self._lines)) <= UNKNOWN_AT_MOST:
            found.append("data.unit=char" if unit != self.unit else "data.min_count=1")
        return found if found and not spaced else [*found, "data.unit=bpe"]

    @cached_property
    def _lines(self) -> list[str]:
        return read(self.path)


def read(path: str | Path) -> list[str]:
    """The lines of a file, stripped.

    Args:
        path: The file.

    Raises:
        Refusal: If it does not exist, is empty, has an empty line or is not UTF-8.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise Refusal(f"There is no file {path.absolute()}; name a text file with one sentence per line.")
    lines = [line.strip() for line in read_text(path).split("\n")]
    if not lines[-1]:
        lines.pop()
    if not lines:
        raise Refusal(f"{path} is empty; name another file.")
    if "" in lines:
        raise Refusal(
            f"{path}, line {lines.index('') + 1} is empty, expected a sentence; remove such lines by: "
            f"grep '[^[:space:]]' {shlex.quote(path.name)} > sentences.txt"
        )
    return lines


def refuse_unknown(path: Path, lines: list[str], sentences: list[list[int]], advice: Sequence[str] = ()) -> None:
    """Check that enough tokens of sentences are in the vocabulary.

    Args:
        path: The file, for the message.
        lines: Its lines.
        sentences: Their tokens.
        advice: Settings that help, for the message.

    Raises:
        Refusal: If a fraction above `UNKNOWN_AT_MOST` is unknown.
    """
    if (unknown := _unknown(lines, sentences)) <= UNKNOWN_AT_MOST:
        return
    found = "no word of it is" if unknown == 1 else f"{unknown:.0%} of its words or marks are not"
    typed = f"use {', or '.join(advice)}" if advice else "name a file of the same language, or train with data.unit=bpe"
    raise Refusal(f"{path}: {found} in the vocabulary, expected {1 - UNKNOWN_AT_MOST:.0%} or more of them; {typed}.")


def _unknown(lines: list[str], sentences: list[list[int]]) -> float:
    """The fraction of unknown tokens, not counting an <unk> that the lines contain."""
    marks = sum(line.count("<unk>") for line in lines)
    return (sum(each.count(UNKNOWN) for each in sentences) - marks) / sum(map(len, sentences))


def learn(lines: list[str], unit: str = "word", vocabulary: int = 10_000, min_count: int = 1) -> str:
    """Learn the tokenizer of `vaekit.spaces.Text` from lines.

    Args:
        lines: Sentences.
        unit: See `Text`.
        vocabulary: See `Text`.
        min_count: See `Text`.

    Raises:
        Refusal: If the library tokenizers is not installed.
    """
    try:
        from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    except ImportError:
        raise Refusal("Text needs the library tokenizers; type: pip install '.[text]'") from None
    special = ["<pad>", "<eos>", {"word": " <unk>", "bpe": "<unk>", "char": "\N{REPLACEMENT CHARACTER}"}[unit]]
    size = min(vocabulary, 300 + sum(len(line.encode()) for line in lines))  # memory is allocated for this many
    settings: dict[str, Any] = {"vocab_size": size, "special_tokens": special, "show_progress": False}
    trainer: Any
    if unit == "bpe":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), **settings)
    else:
        tokenizer = Tokenizer(models.WordLevel(unk_token=special[UNKNOWN]))
        split = pre_tokenizers.Split(Regex(WORDS if unit == "word" else "."), "isolated")
        unknown = Regex(" ?<unk>" if unit == "word" else special[UNKNOWN])  # not learned as a word
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(unknown, "removed"), split])
        tokenizer.decoder = decoders.Fuse()
        if unit == "word":
            tokenizer.normalizer = normalizers.Prepend(" ")
        trainer = trainers.WordLevelTrainer(min_frequency=min_count, **settings)
    tokenizer.train_from_iterator(lines, trainer)
    if unit != "bpe":
        tokenizer.pre_tokenizer = split
    # so that "<eos>" in a sentence is not its end, and "${" is not a reference in a configuration
    return json.dumps({**json.loads(tokenizer.to_str()), "added_tokens": []}).replace("$", "\\u0024")
