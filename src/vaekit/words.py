"""Words of a command line that have no effect, and the nearest known words."""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from inspect import Parameter, signature
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import CompactHydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from vaekit.overrides import did_you_mean, nearest, typed
from vaekit.refusal import Refusal
from vaekit.source_text import Source

NAME = re.compile(r"[+~]*[A-Za-z_][\w./@:-]*", re.ASCII)  # of a setting or group, as Hydra's grammar has it


def explain(error: Exception, name: str, words: Sequence[str]) -> str | None:
    """Why Hydra could not compose a configuration.

    Args:
        error: The exception of Hydra.
        name: Name of the primary configuration, `train` or `apply`.
        words: Words of the command line.

    Returns:
        A sentence; None for an exception of another kind.
    """
    if nameless := next((word for word in words if word.lstrip("+~").startswith("=")), None):
        return _explain_syntax(nameless)
    if isinstance(error, OverrideParseException):
        return _explain_syntax(error.override)
    if isinstance(error, MissingConfigException):
        return _explain_choice(str(error.missing_cfg_file), words)
    if not isinstance(error, CompactHydraException):
        return None
    about = re.search(r"'([^']+)'", str(error))  # the word, or its key
    word = next((word for word in words if about and word.lstrip("~").partition("=")[0] == about[1]), None)
    if word and about and str(error).startswith(("Could not override", "Could not delete")):
        inner = error.__cause__.full_key if isinstance(error.__cause__, OmegaConfBaseException) else None
        try:
            known = _compose(name, [other for other in words if other != word and other[0] != "-"])
        except CompactHydraException:  # of another word
            known = _compose(name)
        return _explain_key(word, inner if inner and inner.startswith(about[1]) else about[1], known)
    if about and str(error).startswith("Ambiguous value"):
        key, _, value = about[1].partition("=")
        one, several = typed(key, value), typed(key, value.split(","))
        return f"{about[1]} has a comma. Try {one} for one value, {several} for a list, --multirun for a run of each."
    return str(error)


def check_read(config: DictConfig, name: str, words: Sequence[str]) -> None:
    """Check that every setting which the user adds is read by some part.

    Settings of the primary configuration are read. So are arguments of the constructor of a part, settings to which
    another one refers, and an additional part where several are possible.

    Args:
        config: The composed configuration.
        name: Name of the primary configuration.
        words: Words of the command line. Files of the user that they choose are checked too.

    Raises:
        Refusal: For the first setting that no part reads.
    """
    overrides = OverridesParser.create().parse_overrides(list(words))
    for override in overrides:
        key = override.key_or_group.replace("/", ".")
        removes = override.is_delete() or (override.value() is None and _is_part(OmegaConf.select(_compose(name), key)))
        if removes and not _is_removable(key, _compose(name)):
            raise Refusal(f"{override.input_line} removes a setting that is always read. Leave the word out.")
        if override.is_add() or override.is_force_add():
            known = _compose(name, [word for word in words if word != override.input_line])
            for key in _leaves(override):
                if not (_is_read(key, config, known) or _is_referred_to(key, config)):
                    raise Refusal(_explain_key(str(override.input_line), key, known))
    if own := dict(_own_keys(name, words)):
        known, chosen = _compose(name), _compose(name, [str(each.input_line) for each in overrides if _is_group(each)])
        chosen = OmegaConf.masked_copy(chosen, [str(group) for group in chosen if group != "hydra"])  # as a job's is
        for key, file in own.items():
            if not (_is_read(key, chosen, known) or _is_choice(key) or _is_referred_to(key, chosen)):
                near = did_you_mean(nearest(key, dict(_names(known)))) or f" {_holding(key, known)}"
                raise Refusal(f"{key} in {file} is not read by any part.{near}")


def check_sweep(config: DictConfig, name: str) -> None:
    """Check the words of a multirun, and the choices that they list.

    Each word is tried with its first value, those of groups also with each other value. The values of settings are
    checked by the jobs.

    Args:
        config: Composed of the words that have one value.
        name: Name of the primary configuration.

    Raises:
        Refusal: For the first setting that no part reads, and the first unknown choice.
    """
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    words = [f"{key}={value}" for key, value in params.items()] + list(config.hydra.overrides.task)
    loader = GlobalHydra.instance().hydra.config_loader  # type: ignore[union-attr]
    overrides = {each.get_key_element(): each for each in OverridesParser.create(loader).parse_overrides(words)}
    values = {key: _values(override) for key, override in overrides.items()}  # the last of a key counts
    first = {key: next(each) for key, each in values.items()}
    others = ({key: word} for key in values if _is_group(overrides[key]) for word in values[key])
    for job in [first, *(first | other for other in others)]:
        words = [*job.values()]
        try:
            composed = _compose(name, words)
        except CompactHydraException as error:
            raise Refusal(explain(error, name, words) or str(error)) from error
        composed.hydra.runtime.output_dir = composed.hydra.sweep.dir
        HydraConfig.instance().set_config(composed)
        check_read(OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"]), name, words)


def _values(override: Override) -> Iterator[str]:
    """The overrides that a sweep over several values stands for; only the first one for an interval."""
    if override.is_discrete_sweep():
        yield from (f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator())
    elif override.is_sweep_override():
        yield f"{override.get_key_element()}={override.value().start}"  # type: ignore[union-attr]
    else:
        yield str(override.input_line)


def _compose(name: str, words: Iterable[str] = ()) -> DictConfig:
    """The primary configuration that the running Hydra composes with these words."""
    hydra: Any = GlobalHydra.instance().hydra
    return hydra.compose_config(name, list(words), run_mode=RunMode.RUN, with_log_configuration=False)


def _own_keys(name: str, words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The dotted names that the user's own files set, in a --config-dir or conf/local, and the file of each."""
    hydra: Any = GlobalHydra.instance().hydra
    loader = hydra.config_loader
    folders = [path for path in loader.get_search_path().get_path() if path.provider == "command-line"]
    if not folders and not loader.get_group_options("local"):
        return
    for default in loader.compute_defaults_list(name, list(words), RunMode.RUN).defaults:
        loaded = loader._load_single_config(default, loader.repository)
        if loaded.provider == "command-line" or str(default.config_path).startswith("local/"):
            node: Any = OmegaConf.to_container(loaded.config)
            file = f"{loaded.path.removeprefix('file://')}/{default.config_path}.yaml"
            yield from ((key, file) for group in node for key in _below(group, node[group]))


def _offers(group: str) -> list[str]:
    """The choices of a group, including those in folders of the user."""
    hydra: Any = GlobalHydra.instance().hydra
    return [each for each in hydra.config_loader.get_group_options(group, ObjectType.CONFIG) if each[0] != "_"]


def _groups(parent: str = "") -> Iterator[str]:
    """All groups except those of Hydra, including nested ones such as `optimizer/decay`."""
    hydra: Any = GlobalHydra.instance().hydra
    for name in hydra.config_loader.list_groups(parent):
        if name != "hydra":
            yield f"{parent}{name}"
            yield from _groups(f"{parent}{name}/")


# Sentences ------------------------------------------------------------------------------------------------------------


def _explain_syntax(word: str) -> str:
    key, equals, value = word.partition("=")
    if equals and NAME.fullmatch(key):
        return f"{word} has characters that need quotes. Try {typed(key, os.path.expanduser(value))}"
    name = key.strip().lstrip("-")  # of --model=mlp_vae, or with spaces
    if equals and NAME.fullmatch(name):
        return f"{word} is not KEY=VALUE. Try {shlex.quote(f'{name}={value.strip()}')}"
    meant = {choice: f"{group}={choice}" for group in _groups() for choice in _offers(group)}
    near = nearest(value if equals and not name.strip("+~") else word, meant)
    return f"{word} sets nothing, expected KEY=VALUE.{did_you_mean(meant[each] for each in near)}"


def _explain_choice(file: str, words: Sequence[str]) -> str | None:
    group, _, choice = file.rpartition("/")
    if not (choices := _offers(group)):
        return None
    spelt = re.compile(rf"\b{re.escape(choice)}\b" if choice else "^$")
    of_group = [word for word in words if word.lstrip("+").partition("=")[0].partition("@")[0] == group]
    named = [*of_group, *words] if choice else of_group  # of a preset, another group may have named it
    word = next((word for word in named if spelt.search(word.partition("=")[2])), f"{group}={choice}")
    key, _, value = word.partition("=")
    meant = did_you_mean(f"{key}={spelt.sub(each, value)}" for each in nearest(choice, choices))
    return f"{word} is unknown.{meant} Available options in '{group}': {', '.join(choices)}."


def _explain_key(word: str, key: str, known: DictConfig) -> str:
    plain, equals, value = word.lstrip("+~").partition("=")
    value = f"={value}" if equals and plain == key else "=..."
    other, root = "train" if "task" in known else "apply", key.partition(".")[0]
    hidden = () if root == "hydra" else ("hydra",)
    names = {name: is_set for name, is_set in _names(known) if name.partition(".")[0] not in hidden}

    def spelt(name: str) -> str:
        return f"~{name}" if word.startswith("~") else f"{'' if names[name] else '+'}{name}{value}"

    near = [each for each in map(spelt, nearest(key, names)) if each != word]
    instead = did_you_mean(near) or f" {_holding(key, known)}"
    if root not in {name.rpartition(".")[2] for name in names} and root in _compose(other):
        return f"{word} is a setting of {other}.py.{instead if other == 'train' else ''}"
    return f"{word} is not read by any part.{instead}"


def _holding(key: str, known: DictConfig) -> str:
    """The names that exist next to `key`; next to a task its settings."""
    place, node = "", known
    for name in key.split(".")[:-1]:
        near = nearest(name, (each for each, below in _children(node).items() if isinstance(below, DictConfig)))
        if not near:
            break
        place, node = f"{place}{near[0]}.", _children(node)[near[0]]
    names = [name for name in _children(node) if name != "hydra" and not name.startswith("_")]
    if not place and _is_part(task := node.get("task")):
        names += [f"task.{name}" for name in _children(task) if not name.startswith("_")]
    return f"There is {', '.join(f'{place}{name}' for name in names) or f'nothing in {place[:-1]}'}."


# What is read ---------------------------------------------------------------------------------------------------------


def _leaves(override: Override) -> list[str]:
    """The dotted names that an override sets; a choice of a group sets the one that it is put at."""
    if _is_group(override):
        return [override.package or override.key_or_group.replace("/", ".")]
    return list(_below(override.key_or_group, override.value()))


def _is_group(override: Override) -> bool:
    """Whether the override chooses a part of a group, rather than setting a value in it."""
    return override.key_or_group in _groups() and not isinstance(override.value(), Mapping)


def _below(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for name, each in value.items():
            yield from _below(f"{key}.{name}", each)
    else:
        yield key


def _is_part(node: Any) -> bool:
    return isinstance(node, DictConfig) and "_target_" in node


def _settings(part: DictConfig) -> dict[str, Parameter] | None:
    """The arguments of the constructor of a part by name; None if it takes any, or they are unknown."""
    try:
        source = Source.find(part["_target_"])  # read from source, because importing may import torch
        taken = ((source and source.signature) or signature(get_object(part["_target_"]))).parameters
    except Exception:  # importing a user's module can raise anything; the part is refused when it is built
        return None
    return None if any(each.kind == Parameter.VAR_KEYWORD for each in taken.values()) else dict(taken)


def _children(node: DictConfig) -> dict[str, Any]:
    """The entries of a node by name, with interpolations not resolved."""
    return {str(name): node._get_node(name) for name in node}


def _is_read(key: str, config: DictConfig, known: DictConfig) -> bool:
    node: Any = config
    default: Any = known
    own = False  # whether the node is a value that a part takes, whose names are not checked
    for name in key.split("."):
        if name == "hydra" and node is config:
            return True
        if not isinstance(node, DictConfig) or name not in node:
            return True  # a list, or a file of the user's that is put elsewhere
        siblings = _children(default) if isinstance(default, DictConfig) else {}
        if _is_part(node):
            taken = _settings(node)
            own = taken is None or name in taken or bool(re.fullmatch("_[a-z]+_", name))
            if not own:
                return False
        elif name not in siblings and not own:
            several = all(isinstance(each, DictConfig) for each in siblings.values())
            if not (several and default is not None and _is_part(node._get_node(name))):
                return False
        node, default = node._get_node(name), siblings.get(name)
        own = own and not (isinstance(node, DictConfig) and any(map(_is_part, _children(node).values())))
    return True


def _is_removable(key: str, known: DictConfig) -> bool:
    """Whether a run can do without it: an argument with a default, one of several parts, or a preset."""
    if OmegaConf.select(known, key) is None:
        return True
    place, _, name = key.rpartition(".")
    node = OmegaConf.select(known, place) if place else known
    if _is_part(node):
        taken = _settings(node)
        return taken is None or (name in taken and taken[name].default is not Parameter.empty)
    return bool(place) and all(isinstance(each, DictConfig) for each in _children(node).values())


def _is_choice(key: str) -> bool:
    """Whether it belongs to a part that may be chosen, e.g. penalty.mmd.weight in a preset."""
    group, _, name = key.partition(".")
    return group in _groups() and name.partition(".")[0] in _offers(group)


def _is_referred_to(key: str, config: DictConfig) -> bool:
    """Whether other settings refer to it."""
    without, place = deepcopy(config), key.rpartition(".")
    with flag_override(without, ["struct", "readonly"], False):
        del OmegaConf.select(without, place[0] or ".")[place[2]]
    try:
        other: Any = OmegaConf.to_container(without, resolve=True)
    except OmegaConfBaseException:
        return True
    this: Any = OmegaConf.to_container(config, resolve=True)
    node = this
    for name in place[0].split(".") if place[0] else ():
        node = node[name]
    del node[place[2]]
    return this != other


def _names(config: DictConfig, at: str = "") -> Iterator[tuple[str, bool]]:
    """Every dotted name that is set, with True, and every other argument of a part, with False."""
    if not at:
        yield from ((str(group), True) for group in config.hydra.runtime.choices)
    taken = _settings(config) if _is_part(config) else None
    yield from ((f"{at}{name}", False) for name, each in (taken or {}).items() if each.default is not each.empty)
    for name, node in _children(config).items():
        if not name.startswith("_"):
            yield f"{at}{name}", True
            if isinstance(node, DictConfig) and not node._is_none() and not node._is_interpolation():
                yield from _names(node, f"{at}{name}.")
