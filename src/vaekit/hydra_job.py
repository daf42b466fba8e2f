"""Runs one job of Hydra, for a command or a call in Python: checks its words, and raises refusals unwrapped."""

from __future__ import annotations

import os
import re
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.types import RunMode
from hydra.version import VersionBase
from omegaconf import DictConfig

from vaekit import folders  # noqa: F401  (which registers the resolvers of conf/train.yaml)
from vaekit.configs import CONF
from vaekit.overrides import spelled
from vaekit.refusal import Refusal, refusal_in

NONE = {group: f"{group}=[]" for group in ("penalty", "callbacks", "logger")}  # how to choose nothing in a group
NONE |= {group: f"'~{group}'" for group in ("condition", "debug", "experiment", "privacy", "sweep")}
ALONE = threading.RLock()  # held by a thread that uses Hydra, or the generators of random numbers of the process


def refuse_numbers(words: Sequence[str]) -> None:
    """Refuse a number or null as the choice of a group, on which Hydra fails with a traceback.

    Args:
        words: Overrides as they are typed.

    Raises:
        Refusal: With the choices of the group.

    Example:
        >>> refuse_numbers(["model=beta_vae", "seed=3"])
    """
    for word in words:
        key, _, choice = word.partition("=")
        group = key.lstrip("+").partition("@")[0]
        numbers = (re.fullmatch(r"\s*(?:null|[-+]?[\d.]+)\s*", each) for each in choice.strip("[]").split(","))
        if group and (CONF / group).is_dir() and any(numbers):
            names = sorted(file.stem for file in (CONF / group).glob("[!_]*.yaml"))
            none = f", or {NONE[group]} for none" if group in NONE else ""
            raise Refusal(f"Got {word}, expected one of {', '.join(names)}; use {key}={names[0]}{none}.")


def check_working_folder() -> None:
    """Check that the current folder exists, which Hydra requires.

    Raises:
        Refusal: If it was deleted.
    """
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise Refusal("The current folder was deleted. Change to one that exists: os.chdir('/tmp').") from error


def checked(call: Callable[[DictConfig], Any], config: DictConfig, unchecked: tuple[str, ...] = ()) -> Any:
    """Call a job after checking that every word is read.

    Args:
        call: The job.
        config: What Hydra composed; `HydraConfig` is set.
        unchecked: Prefixes of words that `call` checks itself.

    Raises:
        Refusal: Unwrapped, whatever exception holds it.
    """
    from vaekit.processors import limit_threads  # imported here: tab completion should not wait for torch
    from vaekit.words import check_read

    limit_threads()
    job = HydraConfig.get()
    words = [word for word in job.overrides.task if not word.startswith(unchecked)]
    try:
        check_read(config, str(job.job.config_name), words)
        return call(config)
    except Exception as error:
        if (refusal := refusal_in(error)) is None:
            raise
        if config.get("traceback"):
            traceback.print_exc()
        raise refusal from None


@contextmanager
def refusals_alone() -> Iterator[None]:
    """A context in which Hydra prints no line before the refusal of a job."""
    outcome = vars(JobReturn)["return_value"]

    def return_value(job: JobReturn) -> Any:
        if isinstance(job._return_value, Refusal):
            raise job._return_value
        return outcome.fget(job)

    JobReturn.return_value = property(return_value, outcome.fset)  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        JobReturn.return_value = outcome  # type: ignore[method-assign]


def run_here(name: str, call: Callable[[DictConfig], Any], words: Sequence[str]) -> Any:
    """Run a job in this process. Hydra's state, and the handler of Ctrl-C, are as before when it has ended.

    Args:
        name: The primary configuration, `train` or `apply`.
        call: The job.
        words: Overrides as they are typed, without a shell's quotes.

    Returns:
        What `call` returns.

    Raises:
        Refusal: If the overrides cannot be composed, no part reads one of them, or the job refuses.
    """
    with _hydra(name, words) as hydra:
        return hydra.run(name, partial(checked, call), list(words), with_log_configuration=False).return_value


def compose(name: str, words: Sequence[str]) -> DictConfig:
    """The configuration that `run_here` hands to a job.

    Args:
        name: The primary configuration.
        words: Overrides as they are typed, without a shell's quotes.

    Raises:
        Refusal: If the words compose nothing.
    """
    with _hydra(name, words) as hydra:
        return hydra.compose_config(name, list(words), run_mode=RunMode.RUN, with_log_configuration=False)


@contextmanager
def _hydra(name: str, words: Sequence[str]) -> Iterator[Any]:
    """A context in which Hydra is initialized as for a command."""
    from vaekit.words import explain

    refuse_numbers(words)
    check_working_folder()
    with ALONE:
        state, base = (GlobalHydra.instance().hydra, HydraConfig.instance().cfg), VersionBase.instance().version_base
        main = threading.current_thread() is threading.main_thread()
        handler = signal.getsignal(signal.SIGINT) if main else None
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(str(CONF), job_name=name, version_base="1.3"), refusals_alone():
                try:
                    yield GlobalHydra.instance().hydra
                except SystemExit as end:  # the only exception that a resolver or a callback can raise
                    if isinstance(end.code, str):
                        raise Refusal(end.code) from None
                    raise
                except Exception as error:
                    if sentence := refusal_in(error) or explain(error, name, words):
                        raise Refusal(str(sentence)) from None
                    raise
        finally:
            GlobalHydra.instance().hydra, HydraConfig.instance().cfg = state
            VersionBase.instance().version_base = base
            if handler is not None:
                signal.signal(signal.SIGINT, handler)


def spell(*overrides: str | Mapping[str, Any]) -> list[str]:
    """Words of the command line.

    Args:
        overrides: Such words, or settings by name.

    Returns:
        Words as Hydra reads them, without a shell's quotes.

    Raises:
        Refusal: For anything else.

    Example:
        >>> from vaekit.hydra_job import spell
        >>> spell("model=mlp_vae", {"data.path": "my files/a.npz", "seed": 2})
        ['model=mlp_vae', 'data.path=my files/a.npz', 'seed=2']
    """
    words: list[str] = []
    for each in overrides:
        if isinstance(each, Mapping):
            words += [f"{name}={spelled(value)}" for name, value in each.items()]
        elif isinstance(each, str):
            words.append(each)
        else:
            raise Refusal(f"Got {each!r}, expected words such as 'model=mlp_vae', or a dict. Rows go to vaekit.fit.")
    return words
