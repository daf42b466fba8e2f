"""Estimators of scikit-learn."""

import pickle
import subprocess
import sys
from contextlib import chdir
from threading import Thread

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from vaekit import sklearn as estimators
from vaekit.sklearn import VAEClassifier, VAEDetector, VAEImputer, VAESynthesizer, VAETransformer

pandas = pytest.importorskip("pandas")
SMALL = {"max_steps": 20, "random_state": 0, "overrides": ("network.hidden=[16]",)}
X, Y = load_iris(return_X_y=True)
EVERY = [VAETransformer, VAEDetector, VAEImputer, VAEClassifier, VAESynthesizer]
# its labels -1 and 1 leave one class, because -1 is a missing label
FAILS = {VAEClassifier: {"check_classifiers_classes": "-1 is a missing label"}}


@pytest.fixture(autouse=True)
def folder(tmp_path):
    with chdir(tmp_path):
        yield
    assert not list(tmp_path.iterdir()), "an estimator writes nothing"


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", EVERY)
def test_scikit_learn_checks_pass(kind):
    steps = 120 if kind is VAEClassifier else 20  # it asks for an accuracy; 80 steps reach it
    check_estimator(kind(**SMALL | {"max_steps": steps}), expected_failed_checks=FAILS.get(kind))


def test_every_estimator_is_checked():
    defined = {
        each
        for name, each in vars(estimators).items()
        if name.startswith("VAE") and name not in ("VAE", "VAEEstimator")
    }
    assert defined == set(EVERY)


@pytest.mark.parametrize("kind", EVERY)
def test_a_copy_by_pickle_is_the_same(kind):
    fitted = kind(**SMALL).fit(X, Y)
    again = pickle.loads(pickle.dumps(fitted))
    for name in ("transform", "score_samples", "predict"):
        if hasattr(fitted, name):
            assert np.array_equal(getattr(fitted, name)(X), getattr(again, name)(X))
    assert clone(fitted).get_params() == fitted.get_params()


@pytest.mark.long
def test_likelihoods_are_in_the_units_of_the_rows():
    """Rows of a Gaussian, in which z is of no use, have the Gaussian's density, whatever their scale."""
    generator = np.random.default_rng(0)
    rows = generator.normal([5.0, -300.0], [0.01, 40.0], (2000, 2))
    fitted = VAETransformer(latent_dim=1, max_steps=400, random_state=0, overrides=("likelihood.scale=pixel",)).fit(
        rows
    )
    rows = rows[:400]
    expected = multivariate_normal([5.0, -300.0], np.diag([0.01**2, 40.0**2])).logpdf(rows)
    assert fitted.score(rows) == pytest.approx(expected.mean(), abs=0.15)
    made = fitted.sample(2000, random_state=0)
    assert made.mean(0) == pytest.approx([5.0, -300.0], rel=0.05)
    assert made.std(0) == pytest.approx([0.01, 40.0], rel=0.15)


@pytest.mark.parametrize(
    "settings", [{"alpha": 5}, {"alpha": 0}, {"alpha": None}, {"contamination": 1.5}, {"contamination": "auto"}]
)
def test_fractions_of_a_detector_are_between_0_and_1(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"^Got {name}=.*, expected a fraction between 0 and 1. Try {name}=0.05.$"):
        VAEDetector(**settings, max_steps=1).fit(np.zeros((20, 2)))


@pytest.mark.parametrize("settings", [{"max_steps": -1}, {"max_steps": 2.5}, {"latent_dim": 0}, {"batch_size": "8"}])
def test_numbers_of_an_estimator_are_whole_and_at_least_1(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"^Got {name}=.*, expected a whole number at least 1; use {name}=1"):
        VAETransformer(**settings).fit(np.eye(20))


@pytest.mark.parametrize("overrides", ["prior=mixture", {"prior": "mixture"}, ("prior=mixture",)])
def test_words_may_be_one_several_or_a_dict(overrides):
    fitted = VAETransformer(latent_dim=np.int64(2), max_steps=np.int64(1), overrides=overrides).fit(np.eye(20))
    assert fitted.vae_.config["prior"]["_target_"].endswith("Mixture")
    with pytest.raises(ValueError, match=r"^Got 3 columns, expected 2"):
        fitted.inverse_transform(np.zeros((1, 3)))


def test_threads_do_not_share_random_numbers():
    rows, scores = np.random.default_rng(0).normal(size=(40, 3)), {}

    def score(number):
        scores[number] = VAETransformer(max_steps=2, random_state=number % 2).fit(rows).score_samples(rows)

    threads = [Thread(target=score, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert np.array_equal(scores[0], scores[2])
    assert np.array_equal(scores[1], scores[3])


def test_labels_of_text_are_missing_where_they_are_none():
    labels = np.array(["a", "b", None, -1] * 5, dtype=object)
    fitted = VAEClassifier(max_steps=1).fit(np.eye(20), labels)
    assert fitted.classes_.tolist() == ["a", "b"]
    assert set(fitted.predict(np.eye(20))) <= {"a", "b"}


def test_refusals_of_given_cells_say_what_to_type_in_python():
    pandas = pytest.importorskip("pandas")
    fitted = VAESynthesizer(max_steps=1).fit(pandas.DataFrame({"a": [0.5, 1.5, 2.5] * 10, "b": ["x", "y", "z"] * 10}))
    with pytest.raises(ValueError, match=r"^given names the column 'q', expected one of a, b\.$"):
        fitted.sample(2, given={"q": 1})


@pytest.mark.long
def test_a_detector_finds_distant_rows_and_keeps_its_false_alarm_rate():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(700, 4))
    detector = VAEDetector(alpha=0.1, max_steps=200, random_state=0).fit(rows[:400])
    assert (detector.predict(generator.normal(8, 1, (50, 4))) == -1).all()
    assert np.mean(detector.predict(rows[400:]) == -1) == pytest.approx(0.1, abs=0.06)
    assert np.array_equal(detector.predict(rows) == -1, detector.p_values(rows) <= 0.1)
    few = VAEDetector(contamination=0.05, max_steps=20, random_state=0).fit(rows[:400])
    assert few.labels_.sum() == 20
    assert np.allclose(few.decision_scores_, -few.score_samples(rows[:400]))


@pytest.mark.long
def test_an_imputer_uses_what_is_observed_and_leaves_it():
    generator = np.random.default_rng(0)
    first = generator.normal(size=600)
    rows = np.stack([first, 3 * first + generator.normal(0, 0.1, 600), generator.normal(size=600)], 1)
    holes = rows.copy()
    holes[::3, 1] = np.nan
    imputer = VAEImputer(latent_dim=2, max_steps=500, random_state=0).fit(holes)
    rows, holes = rows[:60], holes[:60]
    filled = imputer.transform(holes)
    assert np.array_equal(filled[~np.isnan(holes)], rows[~np.isnan(holes)])
    error = np.sqrt(np.mean((filled[::3, 1] - rows[::3, 1]) ** 2))
    assert error < 1  # where the mean of the column has 3
    drawn = imputer.draws(holes[:30])
    assert drawn.shape == (5, 30, 3)
    assert drawn[:, ::3, 1].std(0).min() > 0


@pytest.mark.long
def test_few_labels_are_enough_where_classes_are_apart():
    generator = np.random.default_rng(0)
    label = np.repeat(["a", "b"], 300)
    rows = generator.normal(size=(600, 3)) + 6 * (label == "b")[:, None]
    number = np.where(label == "b", 1, 0)
    seen = np.where(np.arange(600) % 60 == 0, number, -1)
    fitted = VAEClassifier(max_steps=300, random_state=0).fit(rows, seen)
    assert fitted.score(rows, number) > 0.95
    assert fitted.predict_proba(rows).sum(1) == pytest.approx(1)
    words = VAEClassifier(**SMALL).fit(rows, label)
    assert set(words.predict(rows)) <= {"a", "b"}


def test_rows_of_a_frame_come_back_as_such_and_have_the_cells_that_are_given():
    frame = load_iris(as_frame=True).frame.assign(name=pandas.Categorical(np.array(["x", "y", "z"])[Y]))
    fitted = VAESynthesizer(**SMALL).fit(frame)
    made = fitted.sample(20, random_state=0)
    assert (made.dtypes == frame.dtypes).all()
    assert made.equals(fitted.sample(20, random_state=0))
    assert (fitted.sample(5, given={"name": "y"})["name"] == "y").all()


def test_names_of_columns():
    frame = load_iris(as_frame=True).data
    transformer = VAETransformer(latent_dim=3, **SMALL).set_output(transform="pandas").fit(frame)
    assert list(transformer.transform(frame).columns) == ["vaetransformer0", "vaetransformer1", "vaetransformer2"]
    imputer = VAEImputer(**SMALL).set_output(transform="pandas").fit(frame)
    assert list(imputer.transform(frame).columns) == list(frame.columns)


@pytest.mark.long
def test_a_script_searches_by_two_processes():
    """Outside pytest, which has warning filters of its own, and the processes get those of the script."""
    script = """
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from vaekit.sklearn import VAETransformer
x, y = load_iris(return_X_y=True)
GridSearchCV(VAETransformer(max_steps=2), {"latent_dim": [1, 2]}, cv=2, n_jobs=2, error_score="raise").fit(x, y)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_a_pipeline_is_searched_by_two_processes():
    pipeline = make_pipeline(StandardScaler(), VAETransformer(max_steps=100, random_state=0), LogisticRegression())
    search = GridSearchCV(pipeline, {"vaetransformer__latent_dim": [1, 4]}, cv=2, n_jobs=2).fit(X, Y)
    assert search.best_score_ > 0.7
