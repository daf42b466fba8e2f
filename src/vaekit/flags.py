"""`--help`, `--list` and `--info` of the two commands, which explain the choices."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from vaekit import catalogue
from vaekit.configs import CONF
from vaekit.overrides import nearest

HELP = """{purpose}

  {command} [GROUP=CHOICE] [SETTING=VALUE] ...

  --list [GROUP]        the choices of a group; {alone}
  --info GROUP=CHOICE   options, requirements and papers of a choice
  --cfg job             the whole configuration, as the other words change it
  --config-dir FOLDER   configurations of your own, in front of the others
{more}  --multirun            a run for each combination of A=1,2 B=3,4
  -sc install=bash      completion by the tab key, also for zsh and fish: eval "$({command} -sc install=bash)"
  --hydra-help          the flags of Hydra

{choices}"""

TRAINING = """  --dry-run             the plan: every part, its parameters, and what is refused; nothing is trained
  --find-lr             the loss over the learning rate, and one to start from; nothing is trained
"""


def answer(words: Sequence[str], purpose: str, group: str | None = None) -> bool:
    """Print the help that a flag requests. Returns False if no such flag is given.

    Args:
        words: the command line, without the command.
        purpose: what the command is for.
        group: the group that the command is about; None for all but the tasks.

    Raises:
        SystemExit: with a sentence, for a group or a choice that does not exist.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--help", "-h", action="store_true")
    parser.add_argument("--list", nargs="?", const="")
    parser.add_argument("--info", default="")
    parser.add_argument("--config-dir", "-cd", type=Path)
    given, _ = parser.parse_known_args(list(words))
    folders = [given.config_dir, CONF] if given.config_dir else [CONF]
    if given.help:
        text = _help(purpose, group, folders)
    elif given.list is not None:
        text = _list(given.list or group, folders)
    elif "=" in given.info:  # Hydra has a flag of this name, too, for words without =
        text = _info(given.info, folders)
    else:
        return False
    try:
        print(text, flush=True)
    except BrokenPipeError:  # `| head`, or a pager that was left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


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
    group, _, name = choice.partition("=")
    _check(group, catalogue.groups(folders), f"--info {{}}={name}")
    offered = {choice.name: choice for choice in catalogue.choices(group, folders)}
    _check(name, offered, f"--info {group}={{}}")
    return catalogue.info(offered[name])


def _check(name: str, known: Collection[str], flag: str) -> None:
    if name not in known:
        near = "".join(f" Did you mean {flag.format(each)}?" for each in nearest(name, known)[:1])
        raise SystemExit(f"{flag.format(name)} is unknown.{near} Available: {', '.join(known)}.")
