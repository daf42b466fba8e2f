"""VAEs as estimators of scikit-learn, for Pipeline, GridSearchCV, ColumnTransformer and cross_val_score.

Columns are standardized within each estimator. After training everything is computed in double precision, and
likelihoods with the same noise for every row, so that the result of a row does not depend on the rows around it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from hydra.utils import instantiate
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    OneToOneFeatureMixin,
    OutlierMixin,
    TransformerMixin,
)
from sklearn.utils import check_array, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor
from torch.distributions import Independent, Normal

from vaekit import denormals, in_memory
from vaekit.api import restored_state
from vaekit.data.module import DataModule
from vaekit.data.source import Rows, Source, Split
from vaekit.data.table import Table
from vaekit.hydra_job import ALONE, compose, spell
from vaekit.in_memory import Container
from vaekit.overrides import plain
from vaekit.plan.plan import Plan
from vaekit.refusal import Refusal, refusals_in_python
from vaekit.spaces import Real, Space
from vaekit.tasks.shared.checks import within
from vaekit.tasks.shared.context import Context
from vaekit.tasks.shared.given import draw as draw_given
from vaekit.tasks.shared.imputation import IncompleteRows, importance_weighted
from vaekit.training.module import Training
from vaekit.training.privacy import check_no_privacy
from vaekit.training.run import quiet
from vaekit.vae import VAE

# scikit-learn hands these filters to its processes, which would import lightning for their classes, before vaekit
warnings.filters = [each for each in warnings.filters if not each[2].__module__.startswith("lightning.")]

NUM_SAMPLES = 100  # draws of z for each likelihood
AT_ONCE = 256  # rows whose likelihoods are estimated at once
CALIBRATION = 0.2  # fraction of training rows that a detector holds out for p-values
MISSING = -1  # the label of an unlabeled row


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """A context in which random numbers have a seed. Those of the process are as before when it has ended."""
    with ALONE, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


class InMemory(Source):
    """Rows in memory, all of them used for training.

    Args:
        space: Their space.
        rows: The rows.
    """

    name = "rows in memory"

    def __init__(self, space: Space, rows: Rows):
        self._space, self.rows = space, rows

    @property
    def space(self) -> Space:
        return self._space

    def load(self, split: Split) -> Rows:
        def repeated(column: Any) -> Any:
            return None if column is None else np.append(column, column[:1], 0)

        rows = self.rows  # plus the first row as a validation split, which is not used
        return Rows(repeated(rows.x), repeated(rows.label), repeated(rows.mask), validation=1)


class VAEEstimator(BaseEstimator):
    """Base class of all estimators.

    Args:
        latent_dim: Dimensions of z.
        max_steps: Steps of the optimizer.
        batch_size: Rows a step.
        overrides: More words of train.py, such as `("prior=vamp", "network.hidden=[64]")`, or a dict of settings.
        random_state: Seed, or generator, of weights, order and noise.
    """

    preset: Sequence[str] = ("model=mlp_vae", "likelihood=gaussian")
    dim = "latents.dim"  # the setting that `latent_dim` sets
    vae_: VAE

    def __init__(
        self,
        latent_dim: int = 8,
        max_steps: int = 1000,
        batch_size: int = 128,
        overrides: Sequence[str] | Mapping[str, Any] = (),
        random_state: Any = None,
    ):
        self.latent_dim, self.max_steps, self.batch_size = latent_dim, max_steps, batch_size
        self.overrides, self.random_state = overrides, random_state

    @denormals.flushed()
    def _train(self, space: Space, rows: Rows, *words: str) -> None:
        """Set `vae_`, trained on rows in the data space."""
        for name in ("latent_dim", "max_steps", "batch_size"):
            within(name, plain(getattr(self, name)), 1)
        self.seed_ = int(check_random_state(self.random_state).randint(2**31 - 1))
        own = [self.overrides] if isinstance(self.overrides, str | Mapping) else self.overrides
        given = [*self.preset, f"{self.dim}={self.latent_dim}", *words, *spell(*own), f"seed={self.seed_}"]
        with restored_state():
            quiet()
            config = compose("train", given)
            check_no_privacy(config)
            L.seed_everything(self.seed_, verbose=False)
            vae, objective, penalties = Plan.read(config, space, training=True).build()
            optimizer = instantiate(config["optimizer"]["algorithm"], _convert_="all")
            training = Training(vae, objective, penalties, optimizer, seed=self.seed_)
            trainer = L.Trainer(
                max_epochs=-1,
                max_steps=int(self.max_steps),
                limit_val_batches=0,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                accelerator="cpu",
            )
            trainer.fit(training, datamodule=DataModule(InMemory(space, rows), int(self.batch_size), seed=self.seed_))
        self.vae_ = vae.eval().cpu().double()

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "vae_" in state:  # its parts refer to each other by functions, which cannot be pickled
            vae = state.pop("vae_")
            state["vae_parts_"] = vae.config, vae.space, {name: w.numpy() for name, w in vae.state_dict().items()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        parts = state.pop("vae_parts_", None)
        super().__setstate__(state)
        if parts:
            config, space, weights = parts
            self.vae_ = Plan.read(config, space).build()[0].eval().double()
            self.vae_.load_state_dict({name: torch.from_numpy(each) for name, each in weights.items()})


class _Numeric(VAEEstimator):
    """Base class of estimators of numeric columns `[N, D]`, which are standardized."""

    def _validated(self, X: Any, reset: bool, **more: Any) -> np.ndarray:
        """X as floats, checked. `reset`: whether X is training data."""
        if not reset:
            check_is_fitted(self)
        return validate_data(self, X, reset=reset, dtype=[np.float64, np.float32], **more)

    def _fit_rows(self, X: np.ndarray, label: np.ndarray | None = None, *words: str) -> None:
        known = np.isfinite(X)
        count = known.sum(0)
        self.mean_ = np.where(known, X, 0).sum(0, dtype=np.float64) / np.maximum(count, 1)
        centered = np.where(known, X - self.mean_, 0)
        deviation = np.sqrt((centered**2).sum(0) / np.maximum(count, 1))
        self.scale_ = np.where(deviation > 1e-12 * np.maximum(1, np.abs(self.mean_)), deviation, 1.0)
        x = (centered / self.scale_).astype(np.float32)
        self._train(Real((X.shape[1],)), Rows(x, label, None if known.all() else known), *words)

    def _standardized(self, X: np.ndarray) -> Tensor:
        return torch.from_numpy((X.astype(np.float64) - self.mean_) / self.scale_)

    def _in_units(self, x: Tensor) -> np.ndarray:
        return x.numpy() * self.scale_ + self.mean_

    def _log_likelihood(self, X: np.ndarray) -> np.ndarray:
        """log p(x) in nats, `[N]`, in the units of X: the importance-sampled bound of `NUM_SAMPLES` draws of z."""
        parts = [self._of_chunk(x) for x in self._standardized(X).split(AT_ONCE)]
        return torch.cat(parts).numpy() - np.log(self.scale_).sum()

    @torch.no_grad()
    def _of_chunk(self, x: Tensor) -> Tensor:
        steps = self.vae_.infer(self.vae_.encoder(x)).steps
        q = steps[0].q
        if len(steps) == 1 and isinstance(q, Independent) and isinstance(q.base_dist, Normal):
            generator = torch.Generator().manual_seed(self.seed_)
            noise = torch.randn(NUM_SAMPLES, 1, *q.event_shape, generator=generator, dtype=x.dtype)
            z = q.mean + q.stddev * noise
            log_w = self.vae_.joint(x, [z]) - q.log_prob(z)
            return log_w.logsumexp(0) - math.log(NUM_SAMPLES)
        with ALONE, torch.random.fork_rng(devices=[]):  # row by row with the same seed
            return torch.cat([self._seeded(row) for row in x.split(1)])

    def _seeded(self, row: Tensor) -> Tensor:
        torch.manual_seed(self.seed_)
        return self.vae_.log_likelihood(row, NUM_SAMPLES)


class VAETransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _Numeric):
    """Transforms rows to the means of q(z | x), and back.

    Args:
        latent_dim: Dimensions of z, the columns of what `transform` returns.
        max_steps: Steps of the optimizer.
        batch_size: Rows a step.
        overrides: More words of train.py, such as `("prior=vamp", "network.hidden=[64]")`, or a dict of settings.
        random_state: Seed, or generator, of weights, order and noise.

    Attributes:
        vae_: The trained VAE, of standardized rows.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> X = load_iris().data
        >>> vae = VAETransformer(latent_dim=2, max_steps=20, random_state=0).fit(X)
        >>> vae.transform(X).shape, vae.inverse_transform(vae.transform(X)).shape, vae.sample(3).shape
        ((150, 2), (150, 4), (3, 4))
    """

    def fit(self, X: Any, y: Any = None) -> VAETransformer:
        """Train on rows `[N, D]`; y is not read."""
        self._fit_rows(self._validated(X, reset=True, ensure_min_samples=2))
        return self

    @property
    def _n_features_out(self) -> int:
        return sum(level.space.size for level in self.vae_.latents.levels)

    @torch.no_grad()
    def transform(self, X: Any) -> np.ndarray:
        """Means of q(z | x), `[N, latent_dim]`; of several levels side by side, top first."""
        rows = self._validated(X, reset=False)
        latents = [z.flatten(1) for z in self.vae_.encode(self._standardized(rows))]
        return torch.cat(latents, 1).numpy().astype(rows.dtype)

    @torch.no_grad()
    def inverse_transform(self, X: Any) -> np.ndarray:
        """Means of p(x | z), `[N, D]`, of latents `[N, latent_dim]`."""
        check_is_fitted(self)
        z = torch.from_numpy(check_array(X, dtype=np.float64))
        if z.shape[1] != self._n_features_out:
            raise Refusal(f"Got {z.shape[1]} columns, expected {self._n_features_out}, as transform returns them.")
        spaces = [level.space for level in self.vae_.latents.levels]
        zs = [
            part.reshape(-1, *space.shape)
            for part, space in zip(z.split([s.size for s in spaces], 1), spaces, strict=True)
        ]
        return self._in_units(self.vae_.decode(zs))

    def score_samples(self, X: Any) -> np.ndarray:
        """log p(x) of each row in nats, `[N]`: an importance-sampled lower bound."""
        return self._log_likelihood(self._validated(X, reset=False))

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log p(x), for model selection without labels."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """New rows `[n_samples, D]`, draws from p(x)."""
        check_is_fitted(self)
        with _seeded(int(check_random_state(random_state).randint(2**31 - 1))):
            return self._in_units(self.vae_.sample(n_samples, draw=True))


class VAEDetector(OutlierMixin, _Numeric):
    """Detects rows that are unlike the training rows, by log p(x).

    Args:
        contamination: Fraction of the training rows that are outliers, from 0 to .5, which sets the threshold; None for
            `alpha`.
        alpha: A row whose conformal p-value is at most `alpha` is an outlier, as is this fraction of normal rows.
        latent_dim: Dimensions of z.
        max_steps: Steps of the optimizer.
        batch_size: Rows a step.
        overrides: More words of train.py.
        random_state: Seed, or generator, of weights, order, noise and held-out rows.

    Attributes:
        offset_: log p(x) of the threshold.
        decision_scores_: Of the training rows, -log p(x): high where a row is unusual, as in PyOD.
        threshold_: -offset_, as in PyOD.
        labels_: Of the training rows, 1 for an outlier and 0 for others, as in PyOD.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> X = load_iris().data
        >>> detector = VAEDetector(alpha=0.1, max_steps=50, random_state=0).fit(X)
        >>> detector.predict([[50.0, -30.0, 80.0, 9.0]]), detector.p_values(X).shape
        (array([-1]), (150,))
    """

    def __init__(
        self,
        contamination: float | None = None,
        alpha: float = 0.05,
        latent_dim: int = 8,
        max_steps: int = 1000,
        batch_size: int = 128,
        overrides: Sequence[str] | Mapping[str, Any] = (),
        random_state: Any = None,
    ):
        super().__init__(latent_dim, max_steps, batch_size, overrides, random_state)
        self.contamination, self.alpha = contamination, alpha

    def fit(self, X: Any, y: Any = None) -> VAEDetector:
        """Train on rows `[N, D]`, less those that are held out for p-values; y is not read."""
        for name in ("alpha", "contamination"):
            value = plain(getattr(self, name))
            unset = name == "contamination" and value is None
            if not unset and not (isinstance(value, float) and 0 < value < 1):
                raise Refusal(f"Got {name}={value}, expected a fraction between 0 and 1. Try {name}=0.05.")
        rows = self._validated(X, reset=True, ensure_min_samples=2)
        order = check_random_state(self.random_state).permutation(len(rows))
        held_out = max(1, round(CALIBRATION * len(rows)))
        self._fit_rows(rows[np.sort(order[held_out:])])
        scores = self._log_likelihood(rows)
        self.calibration_ = np.sort(scores[order[:held_out]])
        if self.contamination is None:
            rank = math.floor(self.alpha * (held_out + 1))  # rank of the first score that is not an outlier
            self.offset_ = self.calibration_[rank - 1] if rank else -np.inf
        else:
            self.offset_ = np.percentile(scores, 100 * self.contamination)
        self.decision_scores_, self.threshold_ = -scores, -self.offset_
        self.labels_ = (scores < self.offset_).astype(int)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """log p(x) of each row in nats, `[N]`; low for unusual rows."""
        return self._log_likelihood(self._validated(X, reset=False))

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples` less the threshold: negative for outliers. PyOD's sign is the opposite."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """-1 for outliers, 1 for others, `[N]`."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: Any) -> np.ndarray:
        """Conformal p-values `[N]`: how often a normal row, held out from training, is at least as unusual.

        References:
            Stephen Bates et al. Testing for Outliers with Conformal p-values. Annals of Statistics 2023.
                https://arxiv.org/abs/2104.08279
        """
        lower = np.searchsorted(self.calibration_, self.score_samples(X), side="right")
        return (1 + lower) / (1 + len(self.calibration_))


class VAEImputer(OneToOneFeatureMixin, TransformerMixin, _Numeric):
    """Fills NaN with E[missing | observed].

    Args:
        n_draws: Number of multiple imputations that `draws` returns.
        latent_dim: Dimensions of z.
        max_steps: Steps of the optimizer.
        batch_size: Rows a step.
        overrides: More words of train.py.
        random_state: Seed, or generator, of weights, order and noise.

    References:
        Pierre-Alexandre Mattei, Jes Frellsen. MIWAE: Deep Generative Modelling and Imputation of Incomplete Data Sets.
            In ICML 2019. https://arxiv.org/abs/1812.02633

    Example:
        >>> import numpy as np
        >>> X = np.array([[1.0, 2.0], [2.0, 4.1], [3.0, np.nan], [4.0, 8.0]])
        >>> filled = VAEImputer(latent_dim=1, max_steps=20, random_state=0).fit_transform(X)
        >>> np.isfinite(filled).all(), filled[0].tolist()
        (np.True_, [1.0, 2.0])
    """

    def __init__(
        self,
        n_draws: int = 5,
        latent_dim: int = 8,
        max_steps: int = 1000,
        batch_size: int = 128,
        overrides: Sequence[str] | Mapping[str, Any] = (),
        random_state: Any = None,
    ):
        super().__init__(latent_dim, max_steps, batch_size, overrides, random_state)
        self.n_draws = n_draws

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: Any, y: Any = None) -> VAEImputer:
        """Train on rows `[N, D]`, NaN where values are missing; y is ignored."""
        within("n_draws", plain(self.n_draws), 1)
        self._fit_rows(self._validated(X, reset=True, ensure_min_samples=2, ensure_all_finite="allow-nan"))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """X `[N, D]`, with missing values replaced by their mean."""
        rows = self._validated(X, reset=False, ensure_all_finite="allow-nan", copy=True)
        mean, _ = self._impute(rows)
        return np.where(np.isnan(rows), mean, rows).astype(rows.dtype)

    def draws(self, X: Any) -> np.ndarray:
        """`n_draws` imputations `[n_draws, N, D]`, draws from p(missing | observed)."""
        rows = self._validated(X, reset=False, ensure_all_finite="allow-nan")
        _, drawn = self._impute(rows)
        return np.where(np.isnan(rows), drawn, rows)

    def _impute(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        known = torch.from_numpy(~np.isnan(X))
        x = torch.where(known, self._standardized(np.nan_to_num(X)), 0.0)
        with _seeded(self.seed_):
            parts = [
                importance_weighted(
                    self.vae_,
                    IncompleteRows.fully_observed(*each),
                    each[0].new_zeros(()),
                    10 * NUM_SAMPLES,
                    self.n_draws,
                )
                for each in zip(x.split(AT_ONCE), known.split(AT_ONCE), strict=True)
            ]
        mean, drawn = torch.cat([part.mean for part in parts]), torch.cat([part.draws for part in parts], 1)
        return self._in_units(mean), self._in_units(drawn)


class VAEClassifier(ClassifierMixin, _Numeric):
    """Learns classes from few labeled and many unlabeled rows. The label -1 is missing, of text also None.

    Args:
        latent_dim: Dimensions of z.
        max_steps: Steps of the optimizer.
        batch_size: Rows a step.
        overrides: More words of train.py.
        random_state: Seed, or generator, of weights, order and noise.

    Attributes:
        classes_: The sorted training labels.

    References:
        Diederik Kingma et al. Semi-Supervised Learning with Deep Generative Models. In NeurIPS 2014.
            https://arxiv.org/abs/1406.5298

    Example:
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> y[::2] = -1
        >>> VAEClassifier(max_steps=20, random_state=0).fit(X, y).predict_proba(X).shape
        (150, 3)
    """

    preset = ("model=m2_vae", "likelihood=gaussian")
    dim = "latents.given.dim"

    def fit(self, X: Any, y: Any) -> VAEClassifier:
        """Train on rows `[N, D]` and labels `[N]`, -1 or None where they are missing."""
        rows, y = validate_data(self, X, y, dtype=[np.float64, np.float32], ensure_min_samples=2)
        missing = np.array([each is None or (not isinstance(each, str) and each == MISSING) for each in y.tolist()])
        check_classification_targets(y[~missing])
        self.classes_ = np.unique(y[~missing])
        if len(self.classes_) < 2:
            raise ValueError(f"Got {len(self.classes_)} class, expected at least 2; label rows of another class.")
        label = np.full(len(y), MISSING)
        label[~missing] = np.searchsorted(self.classes_, y[~missing])
        self._fit_rows(rows, label, f"condition.classes={len(self.classes_)}")
        return self

    @torch.no_grad()
    def predict_proba(self, X: Any) -> np.ndarray:
        """q(class | x), `[N, number of classes]`."""
        x = self._standardized(self._validated(X, reset=False))
        q = self.vae_.infer(self.vae_.encoder(x)).steps[0].q
        assert q is not None
        return q.log_prob(q.enumerate_support()).exp().T.numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each row, `[N]`."""
        likeliest = self.predict_proba(X).argmax(1)
        return self.classes_[likeliest]


class VAESynthesizer(VAEEstimator):
    """Generates rows like those of a DataFrame, with its names, types and categories.

    Args:
        latent_dim: Dimensions of z.
        max_steps: Steps of the optimizer.
        batch_size: Rows a step.
        overrides: More words of train.py.
        random_state: Seed, or generator, of weights, order and noise.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> frame = load_iris(as_frame=True).frame
        >>> made = VAESynthesizer(max_steps=20, random_state=0).fit(frame).sample(3)
        >>> made.shape, (made.dtypes == frame.dtypes).all()
        ((3, 5), np.True_)
    """

    preset = ("model=table_vae", "likelihood=table")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: Any, y: Any = None) -> VAESynthesizer:
        """Train on a DataFrame of pandas or polars, or on numbers `[N, D]`; y is not read."""
        finite: dict[str, Any] = {"ensure_all_finite": "allow-nan", "ensure_min_samples": 2}
        self.framed_ = in_memory.is_frame(X)
        checked = validate_data(self, X, dtype="numeric", skip_check_array=self.framed_, **finite)
        table = in_memory.convert(X if self.framed_ else {f"x{i}": column for i, column in enumerate(checked.T)})
        with TemporaryDirectory() as folder:
            source = Table(in_memory.write_frame(table, Path(folder, "rows.parquet")))
            space, rows = source.space, source.load("train")
        assert rows is not None
        framed = Container.of(X, table, space).rows(None) if self.framed_ else None
        self.container_ = framed or Container("pyarrow", template=table.slice(0, 0))
        self._train(space, rows)
        return self

    @refusals_in_python()
    def sample(self, n_samples: int = 1, given: Mapping[str, Any] | None = None, random_state: Any = None) -> Any:
        """New rows, in the container type of the training rows.

        Args:
            n_samples: How many.
            given: Cells that all rows have, by column: `{"income": ">50K"}`.
            random_state: Seed, or generator.
        """
        check_is_fitted(self)
        vae = self.vae_.float()
        with _seeded(int(check_random_state(random_state).randint(2**31 - 1))):
            if given:
                x = draw_given(Context(Path(), vae, {}, Path(), 1024), given, n_samples).x
            else:
                x = vae.sample(n_samples, draw=True)
        made = self.container_.examples(x, vae.space)
        return made if self.framed_ else np.column_stack(made.columns)
