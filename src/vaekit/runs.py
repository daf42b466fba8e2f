"""The folder of a run: its files, how it is found, and how it is loaded without running code from it.

config.yaml           the whole resolved configuration, and the data space
metrics.json          final metrics by name          metrics.csv   log of the training
checkpoints/          best.ckpt and last.ckpt, Lightning's, to resume from
model.safetensors     the best weights
figures/*.png         samples, reconstructions, interpolations, latent map, learning curves
tasks/<name>/         results of apply.py
"""

from __future__ import annotations

import importlib
import inspect
import logging
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn, optim

from vaekit import hub, renames, spaces
from vaekit.limits import allocating
from vaekit.overrides import typed
from vaekit.refusal import Refusal, reason, refusal_in
from vaekit.settings import check_types
from vaekit.whole_file import read_json

log = logging.getLogger(__name__)
OUTPUTS = Path("outputs")
TRAINING_SECTIONS = (
    "trainer",
    "callbacks",
    "logger",
    "optimizer",
    "penalty",
)  # sections that are not needed to load a run
KINDS = {"vaekit": object, "torch.nn": nn.Module, "torch.optim": optim.Optimizer, "zuko": nn.Module}
"""The classes that a run may name: where they are defined, and what they are."""
LOADER, DUMPER = getattr(yaml, "CSafeLoader", yaml.SafeLoader), getattr(yaml, "CSafeDumper", yaml.SafeDumper)
MAX_DEPTH = 100  # levels of nesting in a configuration


def read_metrics(folder: Path) -> dict[str, float]:
    """The final metrics of a run.

    Args:
        folder: Folder of the run.

    Returns:
        By name; empty if the file is missing or damaged.
    """
    return read_json(folder / "metrics.json")


def mark_latest(folder: Path, outputs: Path = OUTPUTS) -> None:
    """Let outputs/latest point to a run, atomically.

    Args:
        folder: Folder of the run; ignored outside `outputs`.
        outputs: Folder of all runs.
    """
    if not folder.resolve().is_relative_to(outputs.resolve()):
        return
    latest, link = outputs / "latest", outputs / f".latest-{os.getpid()}"
    if latest.is_dir() and not latest.is_symlink():
        log.warning(
            f"{latest} is a folder, so it does not link to this run. Move it away, or give {typed('run', folder)}."
        )
        return
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(folder.resolve(), outputs.resolve()), target_is_directory=True)
    link.replace(latest)


def is_finished(folder: Path) -> bool:
    """Whether a run has written its weights and its metrics, and both files are complete.

    Args:
        folder: Folder of the run.
    """
    try:
        with safe_open(folder / "model.safetensors", "pt"):  # compares the header with the file's size
            return bool(read_metrics(folder))
    except (OSError, SafetensorError):
        return False


def how_to_resume(folder: Path) -> str:
    """What to type to finish a run.

    Args:
        folder: Folder of the run.
    """
    checkpoints = (folder / "checkpoints" / f"{name}.ckpt" for name in ("last", "best"))
    if found := next((path for path in checkpoints if path.is_file()), None):
        return f"resume it with `python train.py {typed('ckpt_path', found)}` and its overrides"
    return "no checkpoint is left, so train it again"


def find(run: str | os.PathLike[str], setting: str = "run") -> Path:
    """The folder of a finished run.

    Args:
        run: The folder, or a link to it.
        setting: Name of the setting that gives it.

    Raises:
        Refusal: If it is not a finished run.
    """
    folder = hub.download(str(run)) if str(run).startswith(hub.PREFIX) else Path(run)
    if not os.path.isfile(folder / "config.yaml"):  # false also for invalid file names
        raise Refusal(
            f"{folder} holds no run (no config.yaml); train one with `python train.py`, or give {setting}=outputs/..."
        )
    if not (folder / "model.safetensors").is_file():
        raise Refusal(
            f"{folder} holds no weights (no model.safetensors), so its training did not finish; "
            f"{how_to_resume(folder)}, or give another {setting}=outputs/..."
        )
    return folder


class _Loader(LOADER):  # type: ignore[misc, valid-type]
    """Loads YAML without aliases, which can expand a small file endlessly, and with limited depth.

    `write_config` writes no aliases. Greater depth would overflow the stack in libyaml.
    """

    def __init__(self, text: str):
        depth = 0
        for event in yaml.parse(text, LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > MAX_DEPTH:
                raise yaml.YAMLError("an alias, or too many levels")
        super().__init__(text)


def parse_yaml(text: str) -> Any:
    """Plain YAML without tags and aliases.

    Args:
        text: The text, which may come from a stranger.

    Raises:
        yaml.YAMLError: If it is not, or is nested too deeply; a broken text can raise nearly anything.

    Example:
        >>> parse_yaml("a: {b: 1}")
        {'a': {'b': 1}}
    """
    return yaml.load(text, _Loader)


def read_whole_config(run: str | Path) -> dict[str, Any]:
    """The configuration of a run, as it was written. It is not checked; nothing in it may be instantiated.

    Args:
        run: Folder of the run.

    Raises:
        Refusal: If the file is damaged.
    """
    return parse_config(find(run) / "config.yaml")


def parse_config(path: Path) -> dict[str, Any]:
    """The configuration in a file that `write_config` has written.

    Args:
        path: The file.

    Raises:
        Refusal: If it is damaged, or not such a file.
    """
    try:
        config = parse_yaml(path.read_text())
    except Exception as error:  # PyYAML raises nearly anything on a broken or malicious file
        raise Refusal(f"{path} is not plain YAML; a run's configuration holds no tags and no aliases.") from error
    if not isinstance(config, dict) or "space" not in config:  # which is written last
        raise Refusal(f"{path} is not the configuration of a run; give run=outputs/...")
    return {**renames.settings_of(config), "space": renames.fields_of(config["space"])}


def read_config(
    run: str | Path, trust: Collection[str] = (), sampling: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The configuration of a run without its training, checked.

    The sections in `TRAINING_SECTIONS` are dropped. `data` is kept: its source is known code too, but when rows are
    requested it reads files, and writes a cache, at paths that the run names.

    Args:
        run: Folder of the run.
        trust: Names of classes of the user that the configuration may use, exactly as written there, e.g.
            `["my_package.MyPrior"]`.
        sampling: Changes to how its prior draws, by the name of the setting.

    Raises:
        Refusal: If it names anything else that is not a known part, or the prior does not have such a setting.
    """
    trust = [trust] if isinstance(trust, str) else trust
    config = read_whole_config(run)
    config = {key: value for key, value in config.items() if key not in TRAINING_SECTIONS}
    if "data" in config:
        config["data"] = _moved(config["data"], str(config.get("run_dir")), str(Path(run).resolve()))
    for target in _targets(config):
        if target not in trust:
            check_target(target)
    if sampling:
        config["prior"] = _drawn_with(config["prior"], sampling)
    return config


def _drawn_with(prior: dict[str, Any], sampling: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a prior with changes to how it draws."""
    known = resolve_name(prior["_target_"]).sampling
    for name in sampling.keys() - known:
        settings = ", ".join(f"sampling.{each}" for each in sorted(known))
        expected = f"Expected one of {settings}." if known else "It has no such settings. Leave out sampling."
        raise Refusal(f"sampling.{name} does not change how the prior of this run draws. {expected}")
    return prior | dict(sampling)


def _moved(node: Any, before: str, now: str) -> Any:
    """The settings with paths into the folder of the run moved to its current folder."""
    if isinstance(node, dict):
        return {key: _moved(value, before, now) for key, value in node.items()}
    inside = isinstance(node, str) and node.startswith(f"{before}/")
    return now + node[len(before) :] if inside else node


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """A context in which every exception becomes a `Refusal` of a config.yaml, which may have been changed by hand.

    Args:
        folder: Folder of the run.

    Raises:
        Refusal: That names the file and the exception.
    """
    try:
        yield
    except Exception as error:
        if own := refusal_in(error):
            raise own from None
        raise Refusal(
            f"{folder}/config.yaml is not a valid configuration ({type(error).__name__}: {reason(error)}); "
            "restore it, or train the run again."
        ) from error


def _targets(node: Any) -> Iterator[Any]:
    """Every `_target_` below `node`. Refuses interpolations, which could read files and environment on resolution."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield node["_target_"]
        for key, value in node.items():
            yield from _targets(key)
            yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)
    elif isinstance(node, str) and "${" in node:
        raise Refusal(f"The run's config.yaml holds the interpolation {node!r}; a run's configuration is resolved.")


def check_target(target: Any) -> type:
    """The class of a name, if a run may name it.

    Allowed are classes of vaekit, `torch.nn` modules, `torch.optim` optimizers and zuko flows, named where they are
    defined or in their package. Nothing outside these packages is imported.

    Args:
        target: Dotted name.

    Raises:
        Refusal: For any other name.
    """
    refusal = Refusal(
        f"The run's config.yaml names {target!r}, which is not a part of vaekit, torch.nn, torch.optim or zuko; "
        f"if you know and trust it, name it: {typed('trust', [str(target)])}."
    )
    module_name, _, name = str(target).rpartition(".")
    package = next((p for p in KINDS if f"{module_name}.".startswith(f"{p}.")), None)
    if package is None or not isinstance(target, str):
        raise refusal
    try:  # only modules are imported: a name with an attribute of another module in its path fails here
        found = getattr(importlib.import_module(module_name), name)
        found_by_name = resolve_name(target)  # which resolves attributes first
    except Exception:
        raise refusal from None
    if not inspect.isclass(found) or found is not found_by_name or not issubclass(found, KINDS[package]):
        raise refusal
    if not f"{found.__module__}.".startswith(f"{package}."):  # imported there, not defined there
        raise refusal
    return found


def read_space(config: dict[str, Any]) -> spaces.Space:
    """The data space of a run.

    Args:
        config: Configuration of the run.

    Raises:
        Refusal: If it is not a class of vaekit.spaces, or its fields are not valid.
    """
    try:
        check_types(config["space"], "space")
        described = dict(config["space"])
        kind = check_target(described.pop("_target_"))
        if issubclass(kind, spaces.Space):
            known = {field.name for field in fields(kind)}  # earlier versions wrote null for others
            values = {name: value for name, value in described.items() if name in known or value is not None}
            return kind(**{**values, "shape": tuple(map(int, values["shape"]))})
    except Refusal:
        raise
    except Exception:  # a space can raise anything on wrong fields
        pass
    raise Refusal(f"The run's space is {config['space']!r}, expected one of vaekit.spaces; train the run again.")


def load(
    run: str | Path = OUTPUTS / "latest",
    trust: Collection[str] = (),
    device: str = "cpu",
    sampling: Mapping[str, Any] | None = None,
) -> Any:
    """The trained `vaekit.vae.VAE` of a run, in evaluation mode.

    No code from the folder is run: the configuration may only name known parts (and those in `trust`), and the weights
    are safetensors.

    Args:
        run: Folder of the run.
        trust: Names of classes of the user that the configuration may use, e.g. `["my_package.MyPrior"]`.
        device: Where the model is loaded.
        sampling: Changes to how its prior draws, e.g. `{"steps": 50}` of flow_matching.

    Raises:
        Refusal: If the folder does not hold a finished run, names other classes, or does not fit.
    """
    from vaekit.plan.plan import Plan

    folder = find(run)
    config = read_config(folder, trust, sampling)
    space = read_space(config)
    weights = read_weights(folder)
    held = sum(weight.nbytes for weight in weights.values())
    try:
        with allocating(2**28 + 4 * held):
            vae, *_ = Plan.read(config, space).build()
    except Refusal:
        raise
    except Exception as error:  # a part can raise anything on wrong arguments
        raise Refusal(f"{folder}/config.yaml does not define a VAE ({reason(error)}); train the run again.") from error
    try:
        vae.load_state_dict(renames.weights_of(weights, vae))
    except RuntimeError as error:
        raise Refusal(
            f"{folder}/model.safetensors does not fit its config.yaml ({reason(error)}); {how_to_resume(folder)}."
        ) from error
    return vae.eval().to(device)


def from_pretrained(
    name: str | Path, revision: str | None = None, trust: Collection[str] = (), device: str = "cpu"
) -> Any:
    """The trained `vaekit.vae.VAE` of a run on the Hugging Face Hub, or in a folder: `load` with the hub's names.

    Args:
        name: `name/repository`, or the folder of a run, which comes first where both exist.
        revision: Commit, branch or tag on the hub.
        trust: As for `load`.
        device: Where the model is loaded.

    Raises:
        Refusal: If the run cannot be downloaded, or as `load` does; for a revision of a folder.

    Example:
        >>> from_pretrained("me/digits", revision="main")  # doctest: +SKIP
    """
    name = str(name)
    if not Path(name).is_dir():
        name = hub.PREFIX + name.removeprefix(hub.PREFIX) + (f"@{revision}" if revision else "")
    elif revision:
        raise Refusal(f"{name} is a folder, which has no revision {revision!r}. Leave out revision=.")
    return load(name, trust, device)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The best weights of a run. No code in the file is run.

    Args:
        folder: Folder of the run.

    Returns:
        Weights by name.

    Raises:
        Refusal: If the file is damaged.
    """
    path = folder / "model.safetensors"
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise Refusal(
            f"{path} is damaged: it does not match its header ({reason(error)}); {how_to_resume(folder)}."
        ) from error
