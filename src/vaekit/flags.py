"""`--help`, `--list`, `--info` and `--version` of the two commands, which explain the choices."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from vaekit import catalogue
from vaekit.configs import CONF
from vaekit.overrides import did_you_mean, nearest

HELP = """{purpose}

  {command} [GROUP=CHOICE] [SETTING=VALUE] ...

  --list [GROUP]        the choices of a group; {alone}
  --info GROUP=CHOICE   options, requirements and papers of a choice
  --cfg job             the whole configuration, as the other words change it
  --config-dir FOLDER   configurations of your own, in front of the others
{more}  --multirun            a run for each combination of A=1,2 B=3,4
  -sc install=bash      completion by the tab key, also for zsh and fish: eval "$({command} -sc install=bash)"
  --hydra-help          the flags of Hydra
  --version             the versions of vaekit, PyTorch, Lightning and Hydra

{choices}"""

TRAINING = """  --dry-run             the plan: every part, its parameters, and what is refused; nothing is trained
  --find-lr             the loss over the learning rate, and one to start from; nothing is trained
"""

PACKAGES = ("vaekit", "torch", "lightning", "hydra-core")
TOPICS = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")  # of Hydra's own flag --info


def answer(words: Sequence[str], purpose: str, group: str | None = None) -> bool:
    """Print the help that a flag requests. Returns False if no such flag is given, after moving flags before overrides.

    Args:
        words: the command line, without the command.
        purpose: what the command is for.
        group: the group that the command is about; None for all but the tasks.

    Raises:
        SystemExit: with a sentence, for a flag, a group or a choice that does not exist.
    """
    parser = _parser(training=group is None)
    given, rest = parser.parse_known_args(list(words))
    if unknown := next((word for word in rest if word.startswith("-")), None):
        raise SystemExit(f"{unknown} is not a flag.{_meant(unknown, parser)} Settings are KEY=VALUE; --help lists all.")
    folders = [Path(given.config_dir), CONF] if given.config_dir else [CONF]
    if given.help:
        text = _help(purpose, group, folders)
    elif given.list is not None:
        text = _list(given.list or group, folders)
    elif given.info is not None and given.info not in TOPICS:
        text = _info(given.info, folders)
    elif given.version:
        text = "\n".join(f"{each} {version(each)}" for each in PACKAGES)
    else:
        sys.argv[1:] = sorted(words, key=[*given.overrides, *rest].__contains__)  # Hydra reads none after a flag
        return False
    try:
        print(text, flush=True)
    except BrokenPipeError:  # `| head`, or a pager that was left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _parser(training: bool) -> argparse.ArgumentParser:
    """Hydra's parser with the flags that are not Hydra's. It refuses in one sentence."""
    parser = argparse.ArgumentParser(
        parents=[get_args_parser()], add_help=False, allow_abbrev=False, conflict_handler="resolve"
    )
    parser.add_argument("--list", nargs="?", const="")
    parser.add_argument("--info", "-i", nargs="?", const="")
    parser.add_argument("--version", action="store_true")
    for flag in ("--dry-run", "--find-lr") if training else ():
        parser.add_argument(flag, action="store_true")

    def refuse(message: str) -> NoReturn:
        raise SystemExit(f"{message[0].upper()}{message[1:]}; --help lists the flags.")

    parser.error = refuse  # type: ignore[method-assign]
    return parser


def _meant(flag: str, parser: argparse.ArgumentParser) -> str:
    """The question which known word a mistyped flag means; empty if there is none."""
    if "=" in flag:
        return did_you_mean([flag.lstrip("-")])
    return did_you_mean(nearest(flag, [name for action in parser._actions for name in action.option_strings]))


def _help(purpose: str, group: str | None, folders: Sequence[Path]) -> str:
    name = Path(sys.argv[0]).name
    command = f"python {name}" if name.endswith(".py") else name
    shown = [group] if group else [each for each in catalogue.groups(folders) if each != "task"]
    choices = "\n\n".join(f"{each}:\n{catalogue.listing(each, folders)}" for each in shown)
    alone = f"alone, of {group}" if group else "alone, the groups"
    more = "" if group else TRAINING
    return HELP.format(purpose=purpose, command=command, choices=choices, alone=alone, more=more)


def _list(group: str | None, folders: Sequence[Path]) -> str:
    if group is None:
        return catalogue.list_groups(folders)
    _check(group, catalogue.groups(folders), "--list {}")
    return catalogue.listing(group, folders)


def _info(choice: str, folders: Sequence[Path]) -> str:
    group, equals, name = choice.partition("=")
    if not equals:
        _refuse_incomplete(choice, folders)
    _check(group, catalogue.groups(folders), f"--info {{}}={name}")
    offered = {choice.name: choice for choice in catalogue.choices(group, folders)}
    _check(name, offered, f"--info {group}={{}}")
    return catalogue.info(offered[name])


def _refuse_incomplete(name: str, folders: Sequence[Path]) -> NoReturn:
    """Refuse the name of a group, or of a choice, alone."""
    meant: dict[str, list[str]] = {}
    for group in catalogue.groups(folders):
        names = [choice.name for choice in catalogue.choices(group, folders)]
        meant[group] = [f"{group}={each}" for each in names[:1]]
        for each in names:
            meant.setdefault(each, []).append(f"{group}={each}")
    near = " or ".join(f"--info {each}" for key in nearest(name, meant)[:1] for each in meant[key])
    asked = f" Did you mean {near}?" if near else ""
    raise SystemExit(
        f"--info {name}".strip() + f" needs GROUP=CHOICE.{asked} --list GROUP lists the choices of a group."
    )


def _check(name: str, known: Collection[str], flag: str) -> None:
    if name not in known:
        near = "".join(f" Did you mean {flag.format(each)}?" for each in nearest(name, known)[:1])
        raise SystemExit(f"{flag.format(name)} is unknown.{near} Available: {', '.join(known)}.")
