"""Overrides as they are typed, quoted for the grammar of Hydra and for the shell, and the nearest known names."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

MIN_SIMILARITY = 0.65  # of a mistyped name and of a name that is suggested for it, from 0 to 1
PLACES = ("ckpt_path", "hydra.run.dir")  # words that say where a run is
SPELLED_WITH_DOT = 0.8  # similarity above which `latent_dim` means `latents.dim`
TIE = 0.02  # names whose similarity is this close to the largest are suggested as well
# words of apply.py that are arguments in Python, in a message: as a shell quotes them, or up to the end of a sentence
KEY = r"(?:task\.\w+|device|run|trust)="
WORD = re.compile(rf"(?<![\w.])(?:'({KEY}[^']*)'|({KEY}(?:\[[^\]]*\]|[^\s;,'`]*(?:\.\.\.|[^\s;,.?'`)]))))")
WORDS = re.compile(f"{WORD.pattern}(?: {WORD.pattern})*")
TRAIN = re.compile("`python train\\.py ?([^-`]*)`")


def typed(key: str, value: Any) -> str:
    """The word that sets a key, as it can be pasted into a shell.

    Args:
        key: Dotted name of the setting.
        value: Its value.

    Raises:
        ValueError: For a mapping with names that the grammar of Hydra cannot express, e.g. `it's`: values can be
            quoted, names cannot.

    Example:
        >>> from vaekit.overrides import typed
        >>> print(typed("data.columns", ["Loan Amount (USD)", "id"]), typed("data.path", "my files/a.csv"))
        'data.columns=["Loan Amount (USD)",id]' 'data.path=my files/a.csv'
    """
    return shlex.quote(f"{key}={spelled(value)}")


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The known names that a mistyped one may mean, the likeliest first.

    Args:
        name: Dotted name.
        known: Dotted names that exist.

    Example:
        >>> from vaekit.overrides import nearest
        >>> nearest("latents.dims", ["latents.dim", "prior.components"])
        ['latents.dim']
        >>> nearest("latents_dim", ["latents", "latents.dim"]), nearest("MNIST", ["mnist", "kmnist"])
        (['latents.dim'], ['mnist'])
    """
    name, dotted = name.lower(), "." in name

    def similarity(other: str) -> float:
        if not dotted and (whole := SequenceMatcher(None, name.replace("_", ".", 1), other).ratio()) > SPELLED_WITH_DOT:
            return whole
        last = SequenceMatcher(None, name.rpartition(".")[2], other.rpartition(".")[2]).ratio()
        if last < MIN_SIMILARITY:  # a common prefix such as `data.` does not make names similar
            return 0.0
        return (SequenceMatcher(None, name, other).ratio() + last) / 2

    ranked = sorted(((similarity(other), other) for other in known), reverse=True)
    least = MIN_SIMILARITY if dotted else TIE  # `lr` may lack any prefix, so that its last part decides
    return [other for value, other in ranked[:3] if value >= max(least, ranked[0][0] - TIE)]


def did_you_mean(words: Iterable[str]) -> str:
    """The question " Did you mean ...?"; empty without words.

    Args:
        words: Words to paste into a shell.
    """
    offered = " or ".join(map(shlex.quote, words))
    return f" Did you mean {offered}?" if offered else ""


def spelled(value: Any) -> str:
    """A value in the grammar of Hydra.

    Args:
        value: The value.

    Example:
        >>> from vaekit.overrides import spelled
        >>> spelled({"a": [1, True, None]})
        '{a:[1,true,null]}'
    """
    value = plain(value)
    if isinstance(value, Mapping):
        text = f"{{{','.join(f'{name}:{spelled(each)}' for name, each in value.items())}}}"
        if _parsed(text) != value:
            raise ValueError(f"Hydra's grammar cannot spell the names {', '.join(map(repr, value))}.")
        return text
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(map(spelled, value))}]"
    if isinstance(value, Path):
        value = str(value)
    if not isinstance(value, str):
        return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    # in a list, where a comma would end it
    unquoted = "${" not in value and _parsed(f"[{value}]") == [value] and _parsed(value) == value
    if unquoted:
        return value
    from hydra.core.override_parser.types import Quote, QuotedString

    literal = re.sub(r"(\\*)\$\{", r"\1\1\\${", value)  # not an interpolation
    return QuotedString(literal, Quote.double).with_quotes()


def plain(value: Any) -> Any:
    """A number or an array of a library as numbers and lists of Python; other values are unchanged.

    Args:
        value: Any value.

    Example:
        >>> import numpy
        >>> plain(numpy.float64(0.5)), plain(numpy.arange(2))
        (0.5, [0, 1])
    """
    return value.tolist() if hasattr(value, "tolist") else value


def in_python(message: str) -> str:
    """A message with the words of the command line as arguments and calls of Python.

    Args:
        message: For the command line.

    Example:
        >>> print(in_python("Got task.n=0, expected 1 or more; use task.n=1."))
        Got n=0, expected 1 or more; use n=1.
        >>> print(in_python("Use 'task.scores=[nll,elbo]' task.n=2 of task=detect, or `python train.py seed=1`."))
        Use scores=['nll', 'elbo'], n=2 of run.detect, or vaekit.train('seed=1').
    """
    message = WORDS.sub(lambda words: ", ".join(map(_argument, WORD.finditer(words[0]))), message)
    message = re.sub(r"\btask\.(?=\w)", "", re.sub(r"\btask=(\w+)", r"run.\1", message))
    return TRAIN.sub(lambda command: f"vaekit.train({', '.join(map(repr, shlex.split(command[1])))})", message)


def _argument(word: re.Match[str]) -> str:
    """A word of apply.py as an argument of a task, or of `vaekit.open`."""
    name, value = next(each.split("=", 1) for each in word.groups() if each)
    given = None if value in ("null", "None") else _parsed(value)
    unread = given is None and value not in ("null", "None")
    return f"{name.removeprefix('task.')}={value if unread else repr(given)}"


def _parsed(text: str) -> Any:
    """What Hydra reads from the text of a value; None where it cannot read it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser  # `vaekit.load` should not wait for Hydra
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(f"key={text}").value()
    except HydraException:
        return None


def setting_of(word: str) -> str:
    """The name of the setting or group of a word.

    Args:
        word: As typed.

    Example:
        >>> setting_of("+latents.dim=3")
        'latents.dim'
    """
    return word.lstrip("+~").partition("=")[0]
