"""A finished run in Python: its VAE, metrics and figures, and its tasks as methods."""

from __future__ import annotations

import html
import inspect
import io
import re
import textwrap
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from functools import cache, cached_property, partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_type_hints

import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import OmegaConf
from torch import Tensor

from vaekit import folders, in_memory, runs
from vaekit.apply import perform
from vaekit.catalogue import choices
from vaekit.data.table import read_rows
from vaekit.hydra_job import ALONE, compose, spell
from vaekit.in_memory import Container
from vaekit.media.page import picture, table
from vaekit.overrides import PLACES, nearest, plain, setting_of
from vaekit.plan.compatibility import lacks
from vaekit.plan.plan import Plan
from vaekit.refusal import refusals_in_python
from vaekit.spaces import Space, Table
from vaekit.tasks.fit_prior import fit_prior as fit_prior_task
from vaekit.tasks.shared.context import FILE
from vaekit.tasks.shared.imputation import Imputation
from vaekit.tasks.synthesize import Synthesized
from vaekit.vae import VAE

CONVERTED = ("Tensor", "Examples", "ndarray", "Imputation", "Synthesized")  # returned in the user's container type


class Run:
    """A finished run: its VAE, metrics and figures, and a method for each task of apply.py.

    Args:
        folder: Of the run.
        container: Container type of the rows that its methods return; None for numpy, and DataFrames for tables.
        settings: See `open`.

    Attributes:
        folder: Its folder.
    """

    def __init__(self, folder: str | Path, container: Container | None = None, **settings: Any):
        self.folder, self.settings = runs.find(folder).resolve(), settings
        if container is not None:
            self.container = container

    @cached_property
    def vae(self) -> VAE:
        """The trained VAE, in evaluation mode, on the CPU."""
        return runs.load(self.folder, self.settings.get("trust", ()), sampling=self.settings.get("sampling"))

    @cached_property
    def config(self) -> dict[str, Any]:
        """The whole configuration, as it was resolved."""
        return runs.read_whole_config(self.folder)

    @property
    def words(self) -> list[str]:
        """The words that the run was started with, which `train` needs to go on.

        They are read from the folder and may name any class: pass them on for runs of your own alone.
        """
        return [word for word in folders.read_words(self.folder) or () if setting_of(word) not in PLACES]

    @cached_property
    def plan(self) -> Plan:
        """The parts of the model, not built."""
        config = runs.read_config(self.folder, self.settings.get("trust", ()))
        return Plan.read(config, runs.read_space(config))

    @property
    def metrics(self) -> dict[str, float]:
        """The final metrics by name, as in metrics.json: `test/nll`, ..."""
        return runs.read_metrics(self.folder)

    @property
    def history(self) -> Any:
        """The contents of metrics.csv, one row per logged step: a DataFrame; without pandas and polars a dict of
        lists.
        """
        return in_memory.read_csv(self.folder / "metrics.csv")

    @property
    def figures(self) -> dict[str, Path]:
        """The pictures that training left, by name."""
        return {path.stem: path for path in sorted((self.folder / "figures").glob("*.png"))}

    @cached_property
    def container(self) -> Container:
        """The container type of the rows that methods return."""
        return Container.stored(self.folder / "data", self.vae.space)

    def __getattr__(self, name: str) -> Any:
        tasks = _tasks()
        if name.startswith("_") or name not in tasks:
            near = "".join(f" Did you mean {each}?" for each in nearest(name, tasks)[:1])
            raise AttributeError(f"A run has no task or attribute {name!r}.{near} Tasks: {', '.join(tasks)}.")
        return _method(self, _task(name))

    def __dir__(self) -> list[str]:
        unsupported = {name for name in _tasks() if lacks(self.plan, _task(name))[0]}
        return sorted({*super().__dir__(), *_tasks()} - unsupported)

    def __fspath__(self) -> str:
        """Its folder, so that a run can be given wherever a path is: `run.compare(other)`."""
        return str(self.folder)

    def __repr__(self) -> str:
        return f"vaekit.open({str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """Folder, metrics and samples, for notebooks."""
        rows = table((name, f"{value:.4g}") for name, value in self.metrics.items())
        shown = picture(self.figures["samples"]) if "samples" in self.figures else ""
        plan = html.escape(self.plan.describe())
        return f"<b>{html.escape(str(self.folder))}</b>{rows}{shown}<details><pre>{plan}</pre></details>"

    @refusals_in_python()
    def fit_prior(self, *overrides: str | Mapping[str, Any], **settings: Any) -> Run:
        """Fit another prior to the latent variables of the run, as `task=fit_prior`.

        Args:
            overrides: The prior and its settings, `"prior=flow"`, and more words of apply.py.
            settings: More of these; those of the task without `task.`, as in `epochs=100`.

        Returns:
            A new run in a folder of its own, with the same encoder and decoder.

        Raises:
            Refusal: For a prior that does not fit the posterior.
        """
        of_task = inspect.signature(fit_prior_task).parameters.keys() - {"context", "prior"}
        own = {f"task.{name}" if name in of_task else name: value for name, value in settings.items()}
        config = compose("apply", ["task=fit_prior", *spell(*overrides, own)])
        chosen: Any = OmegaConf.to_container(config["task"], resolve=True)
        self.do(fit_prior_task, **{name: value for name, value in chosen.items() if not name.startswith("_")})
        return Run(chosen["folder"], self.container, **self.settings | {"sampling": {}})  # which are of the old prior

    @refusals_in_python()
    def do(self, task: Callable[..., Any], seed: int = 1, **keywords: Any) -> Any:
        """Run a task, which writes its files into `<run>/tasks/<task>/`.

        Args:
            task: A function of a `Context`, e.g. your own.
            seed: Of what it draws.
            keywords: Its settings; examples may be paths, or in memory.

        Returns:
            What the task returns, in the container type of its input, or of the training rows.
        """
        parameters = inspect.signature(task).parameters
        space, container = self.vae.space, None
        with ALONE, TemporaryDirectory() as scratch, isolate_rng(), redirect_stdout(io.StringIO()):
            for name, value in keywords.items():
                if name not in parameters or parameters[name].annotation != FILE:
                    keywords[name] = plain(value)
                elif value is not None:
                    rows = in_memory.convert(value)
                    with in_memory.named({Path(scratch, name): name}):
                        keywords[name] = file = in_memory.as_file(rows, Path(scratch, name), space)
                    if file is not rows:
                        container = container or Container.of(value, rows, space).typed(self.container)
            with in_memory.named({Path(scratch, name): name for name in keywords}):
                returned, files = perform(partial(task, **keywords), self.folder, plain(seed), **self.settings)
        container = container or self.container.rows(None)
        if isinstance(returned, Imputation) and isinstance(space, Table):  # which keeps observed cells as they are
            return container.frame(read_rows(next(file for file in files if file.name == "imputed.csv"), space), space)
        return _convert(returned, container, space, get_type_hints(task).get("return"))


def _convert(x: Any, container: Container, space: Space, hint: Any = None) -> Any:
    """Convert what a task returns to the container type of the user; `hint` is its type hint."""
    if isinstance(x, Imputation):
        return container.examples(x.mean, space)
    if isinstance(x, Synthesized):
        rows = container.examples(space.from_user(torch.from_numpy(np.array(x.x))), space, x.label)
        return rows if x.label is None or isinstance(space, Table) else (rows, container.numbers(x.label))
    if isinstance(x, list) and x and all(isinstance(each, Tensor) for each in x):
        converted = [_convert(each, container, space, hint) for each in x]
        return converted[0] if len(x) == 1 else converted
    if isinstance(x, Tensor):
        return container.examples(x, space) if "Examples" in str(hint) else container.latents(x)
    if isinstance(x, dict) and x and all(hasattr(each, "shape") for each in x.values()):
        return container.table({name: container.numbers(each) for name, each in x.items()})
    return x


@cache
def _tasks() -> list[str]:
    """The names of all tasks."""
    return [choice.name for choice in choices("task")]


def _task(name: str) -> Any:
    return getattr(import_module(f"vaekit.tasks.{name}"), name)


def _method(run: Run, task: Any) -> Any:
    """A task as a method: examples come first, then its other settings, and `seed`."""
    parameters = list(inspect.signature(task).parameters.values())[1:]  # without the context
    ordered = sorted(parameters, key=lambda each: each.name != "input")
    hints = get_type_hints(task) | {each.name: Any for each in parameters if each.annotation == FILE}
    seed = inspect.Parameter("seed", inspect.Parameter.KEYWORD_ONLY, default=1, annotation=int)
    converted = any(name in str(hints["return"]) for name in CONVERTED)
    returned = Any if converted else hints["return"]
    signature = inspect.Signature(
        [*(each.replace(annotation=hints[each.name]) for each in ordered), seed], return_annotation=returned
    )

    def method(*args: Any, **keywords: Any) -> Any:
        for name in keywords.keys() - signature.parameters.keys():
            near = "".join(f" Did you mean {each}?" for each in nearest(name, signature.parameters)[:1])
            raise TypeError(f"run.{task.__name__} has no argument {name!r}.{near}")
        given = signature.bind(*args, **keywords).arguments
        return run.do(task, **given)

    method.__name__ = method.__qualname__ = task.__name__
    method.__doc__, method.__signature__ = _docstring(task, Any in hints.values()), signature  # type: ignore[attr-defined]
    method.__module__ = task.__module__
    return method


def _docstring(task: Any, reads: bool) -> str:
    """The docstring of a task, as that of a method."""
    about, _, arguments = (inspect.getdoc(task) or "").partition("\n\nArgs:")
    settings, _, rest = re.sub(r"^\n    context: .*", "", arguments).partition("\n\n")
    note = f"Files are written into `run.folder / 'tasks/{task.__name__}'`."
    if reads:
        note += " Examples may be files or in memory; what is returned has the container type of the latter."
    return f"{about}\n\n{textwrap.fill(note, 120)}\n\nArgs:{settings}\n    seed: Of random draws.\n\n{rest}"
