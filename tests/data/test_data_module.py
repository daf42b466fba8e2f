from itertools import chain
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from vaekit.data.batches import Batches
from vaekit.data.digits import Digits
from vaekit.data.module import DataModule
from vaekit.data.source import Rows
from vaekit.refusal import Refusal
from vaekit.spaces import Image, Real

SPACE = Image((1, 4, 4), bins=256)
TRAIN = np.random.default_rng(0).integers(0, 256, (100, 1, 4, 4), dtype=np.uint8)
TEST = np.random.default_rng(1).integers(0, 256, (30, 1, 4, 4), dtype=np.uint8)


def seen(loader):
    return torch.cat([batch.label for batch in loader]).tolist()


def in_evaluation(data, part="val"):
    loader = getattr(data, f"{part}_dataloader")()
    return torch.cat([data.transform(batch, training=False).x for batch in loader])


def test_construction_and_space_read_nothing(memory):
    source = memory(SPACE, TRAIN)
    source.load = None
    assert DataModule(source, binarize="dynamic").space == Image((1, 4, 4), bins=2)
    assert DataModule(source, dequantize=True).space == Image((1, 4, 4), bins=256, dequantized=True)
    assert DataModule(source).space == SPACE


@pytest.mark.parametrize("test", [None, TEST])
def test_splits_are_disjoint_and_whole(memory, test):
    data = DataModule(memory(SPACE, TRAIN, test), batch_size=7)
    parts = [seen(data.train_dataloader()), seen(data.val_dataloader()), seen(data.test_dataloader())]
    everything = list(range(100)) + ([] if test is None else list(range(10_000, 10_030)))
    assert sorted(parts[0] + parts[1] + parts[2]) == everything
    assert list(map(len, parts)) == ([72, 8, 20] if test is None else [90, 10, 30])
    assert data.num_train == len(parts[0])
    if test is not None:
        assert min(parts[2]) == 10_000  # validation is taken from the training rows, the test rows stay whole


def test_splits_are_fixed_by_the_seed_and_test_rows_do_not_move_with_validation(memory):
    def splits(**options):
        data = DataModule(memory(SPACE, TRAIN), **options)
        return seen(data.val_dataloader()), seen(data.test_dataloader())

    torch.manual_seed(1)
    first = splits(seed=3)
    torch.manual_seed(2)
    assert splits(seed=3, batch_size=5) == first
    assert splits(seed=4) != first
    assert splits(seed=3, validation=30)[1] == first[1] and len(splits(seed=3, validation=30)[0]) == 30


def test_calibration_rows_are_in_no_other_part_and_leave_validation_as_it_is(memory):
    plain, data = (DataModule(memory(SPACE, TRAIN), **options) for options in ({}, {"calibration": 0.25}))
    parts = {part: data.in_order(part).indices.tolist() for part in ("train", "val", "calibration", "test")}
    assert sorted(chain(*parts.values())) == list(range(100)) and len(parts["calibration"]) == 18
    assert not len(plain.in_order("calibration").indices)
    for part in ("val", "test"):
        assert parts[part] == plain.in_order(part).indices.tolist()
    with pytest.raises(Refusal, match=r"data.calibration=72 takes 72 of 72 rows"):
        _ = DataModule(memory(SPACE, TRAIN), calibration=72).num_train


@pytest.mark.parametrize("options", [{"binarize": "dynamic"}, {"binarize": "fixed"}, {"dequantize": True}])
def test_draws_in_evaluation_belong_to_rows(memory, options):
    source = memory(SPACE, TRAIN, TEST)
    torch.manual_seed(0)
    x = in_evaluation(DataModule(source, eval_batch_size=1, **options))
    torch.manual_seed(1)
    assert torch.equal(in_evaluation(DataModule(source, eval_batch_size=7, **options)), x)
    some, rows = DataModule(source, **options).sample("val", 5), seen(DataModule(source, **options).val_dataloader())
    assert torch.equal(some.x, x[[rows.index(number) for number in some.label.tolist()]])
    train = [DataModule(source, **options).sample("train", 5).x for _ in range(2)]
    assert torch.equal(*train)
    assert not torch.equal(in_evaluation(DataModule(source, seed=1, validation=10, **options)), x)
    DataModule(source, **options).space.check(x)


def test_train_and_test_rows_of_the_same_number_have_different_noise(memory):
    data = DataModule(memory(SPACE, np.full_like(TRAIN, 128), np.full_like(TRAIN, 128)), binarize="fixed")
    train, test = data.sample("train", 100), data.sample("test", 100)
    in_order = test.x[test.label.argsort()]
    assert not torch.equal(train.x[:30], in_order[train.label[:30]])


def test_fixed_draws_are_the_same_in_every_epoch_and_dynamic_ones_are_not(memory):
    for binarize, same in (("fixed", True), ("dynamic", False)):
        data = DataModule(memory(SPACE, TRAIN, TEST), batch_size=32, binarize=binarize)
        passes = []
        for epoch in range(2):
            data.trainer = SimpleNamespace(current_epoch=epoch, overfit_batches=0, global_rank=0, world_size=1)
            batches = [data.transform(batch, training=True) for batch in data.train_dataloader()]
            labels, x = torch.cat([b.label for b in batches]), torch.cat([b.x for b in batches])
            passes.append((labels, x[labels.argsort()]))
        assert not torch.equal(passes[0][0], passes[1][0])  # the order changes either way
        assert torch.equal(passes[0][1], passes[1][1]) == same


def test_shuffling_follows_its_own_seed(memory):
    data = DataModule(memory(SPACE, TRAIN))
    first = seen(data.train_dataloader())
    assert seen(data.train_dataloader()) == first
    data.shuffle_seed = 5
    assert seen(data.train_dataloader()) != first and sorted(seen(data.train_dataloader())) == sorted(first)


def test_processes_share_the_rows(memory):
    data = DataModule(memory(SPACE, TRAIN, TEST), batch_size=8)
    shards = {"train": [], "test": []}
    for rank in range(3):
        data.trainer = SimpleNamespace(current_epoch=0, overfit_batches=0, global_rank=rank, world_size=3)
        shards["train"].append(seen(data.train_dataloader()))
        shards["test"].append(seen(data.test_dataloader()))
    assert list(chain(*shards["test"])) == list(range(10_000, 10_030))
    assert list(map(len, shards["train"])) == [30, 30, 30] and len(set(chain(*shards["train"]))) == 90


def test_overfitting_trains_on_the_same_batches_in_every_epoch(memory):
    data = DataModule(memory(SPACE, TRAIN))
    data.trainer = SimpleNamespace(current_epoch=4, overfit_batches=2, global_rank=0, world_size=1)
    first = seen(data.train_dataloader())
    data.trainer.current_epoch = 5
    assert seen(data.train_dataloader()) == first


@pytest.mark.parametrize("options", [{}, {"binarize": "dynamic"}, {"binarize": "threshold"}, {"dequantize": True}])
def test_mean_is_the_mean_of_the_training_rows_in_the_data_space(memory, options):
    data = DataModule(memory(SPACE, TRAIN, TEST), **options)
    k = TRAIN[seen(data.train_dataloader())].astype(np.float64)
    expected = {"binarize": k >= 128, "dequantize": (k + 0.5) / 256}.get(next(iter(options), ""), k / 255)
    expected = k / 255 if options.get("binarize") == "dynamic" else expected
    assert data.mean().shape == (1, 4, 4)
    assert np.allclose(data.mean(), expected.mean(0), atol=1e-6)
    assert np.allclose(data.deviation(), expected.std(0), atol=1e-6)


def test_rows_are_drawn_from_all_over_the_training_split(memory):
    data = DataModule(memory(SPACE, TRAIN, TEST))
    drawn, training = data.sample("train", 40), sorted(seen(data.train_dataloader()))
    assert set(drawn.label.tolist()) <= set(training) and len(set(drawn.label.tolist())) == 40
    assert 8 <= (drawn.label < 50).sum() <= 32, "not the first ones"
    assert torch.equal(data.sample("train", 40).x, drawn.x)
    assert sorted(data.sample("train", 1000).label.tolist()) == training


def test_every_prefix_of_a_sample_is_stratified():
    label = np.repeat([7, 3, -1, 5], [600, 300, 90, 10])  # a file in the order of its classes
    rows = Batches(Rows(np.zeros((1000, 2), np.float32), label), torch.arange(1000), batch_size=10)
    order = rows.sample(1000, seed=0)
    assert sorted(order.tolist()) == list(range(1000)) and not torch.equal(order, rows.sample(1000, seed=1))
    for n in (10, 50, 100, 500):
        assert torch.equal(rows.sample(n, seed=0), order[:n])
        for value, fraction in ((7, 0.6), (3, 0.3), (-1, 0.09), (5, 0.01)):
            assert abs((label[order[:n]] == value).sum() - fraction * n) <= 1
    first = order[:500].sort().values.diff()[:-1]
    assert first.max() < 30, "rows of one class from one place"


def test_mean_of_many_rows_is_of_rows_from_all_over_the_file(memory):
    x = np.repeat(np.array([0.0, 1.0], np.float32), 40_000)[:, None]
    data = DataModule(memory(Real((1,)), x))
    assert data.mean().item() == pytest.approx(0.5, abs=0.02)


def test_mean_is_over_what_is_observed(memory):
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    mask = np.random.default_rng(1).random((50, 3)) < 0.7
    data = DataModule(memory(Real((3,)), np.where(mask, x, 0), mask=mask))
    rows = seen(data.train_dataloader())
    assert np.allclose(data.mean(), (x * mask)[rows].sum(0) / mask[rows].sum(0), atol=1e-6)
    hidden = np.ma.masked_array(x, ~mask)[rows]
    assert np.allclose(data.deviation(), hidden.std(0), atol=1e-6)

    batch = data.sample("train", 4)
    assert batch.mask.dtype == torch.float32 and torch.equal(batch.mask, torch.from_numpy(mask[batch.label]).float())


def test_the_deviation_of_values_far_from_zero_does_not_cancel(memory):
    x = np.random.default_rng(0).integers(0, 5, (5000, 3)).astype(np.float32) + np.float32(2**23)
    data = DataModule(memory(Real((3,)), x), batch_size=100)
    rows = x[seen(data.train_dataloader())].astype(np.float64)
    assert np.allclose(data.deviation(), rows.std(0), rtol=1e-6)
    assert np.allclose(data.mean(), rows.mean(0), rtol=1e-7)


# Lightning 2.6 asks torch 2.13 in a way that the next torch will not know
lightning = pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")


class Seen(LightningModule):
    """Notes what it is trained on."""

    def __init__(self):
        super().__init__()
        self.weight, self.seen, self.kinds = torch.nn.Parameter(torch.zeros(())), [], {}

    def training_step(self, batch, batch_idx):
        self.seen.append((self.current_epoch, batch.label.tolist()))
        self.kinds["train"] = batch.x
        return self.weight * batch.x.float().mean()

    def validation_step(self, batch, batch_idx):
        self.kinds["val"] = batch.x

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(data, callbacks=(), ckpt_path=None, **options):
    model = Seen()
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    trainer = Trainer(accelerator="cpu", callbacks=list(callbacks), **quiet, **options)
    trainer.fit(model, data, ckpt_path=ckpt_path)
    return model


@lightning
def test_lightning_gets_the_data_space_and_a_new_order_each_epoch(memory):
    model = fit(DataModule(memory(SPACE, TRAIN, TEST), 40, binarize="dynamic", shift=1), max_epochs=2)
    for x in model.kinds.values():
        Image((1, 4, 4), bins=2).check(x)
    passes = [list(chain(*(labels for at, labels in model.seen if at == epoch))) for epoch in (0, 1)]
    assert passes[0] != passes[1] and sorted(passes[0]) == sorted(passes[1]) and len(passes[0]) == 90


@lightning
def test_a_low_precision_trainer_gets_low_precision_data(memory):
    data = DataModule(memory(SPACE, TRAIN, TEST), 40)
    assert fit(data, max_steps=1, precision="bf16-true").kinds["train"].dtype == torch.bfloat16


class SaveAll(Callback):
    def __init__(self, folder):
        self.folder = folder

    def on_train_batch_end(self, trainer, *_):
        trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt")

    def on_train_epoch_end(self, trainer, *_):
        trainer.save_checkpoint(self.folder / f"{trainer.global_step}-end.ckpt")


@lightning
@pytest.mark.parametrize("options", [{}, {"limit_train_batches": 2}])
def test_a_resumed_run_sees_the_same_batches_as_an_uninterrupted_one(memory, tmp_path, options):
    def data():
        return DataModule(memory(SPACE, TRAIN, TEST), 30)

    whole = fit(data(), [SaveAll(tmp_path)], max_epochs=2, **options).seen
    checkpoints = sorted(tmp_path.glob("*.ckpt"))
    assert len(checkpoints) == len(whole) + 2
    for checkpoint in checkpoints:
        step = int(checkpoint.stem.partition("-")[0])
        assert fit(data(), ckpt_path=checkpoint, max_epochs=2, **options).seen == whole[step:]


def test_digits():
    data = DataModule(Digits())
    assert data.space == Image((1, 8, 8), bins=17) and data.num_train == 1294
    batch = data.sample("train", 1294)
    data.space.check(batch.x)
    assert batch.x.max() == 1 and sorted(batch.label.unique().tolist()) == list(range(10))


REAL = (Real((3,)), np.zeros((10, 3), np.float32))
CONTINUOUS = (Image((1, 4, 4), bins=None), TRAIN.astype(np.float32) / 255)


@pytest.mark.parametrize(
    ("rows", "options", "fix"),
    [
        ((SPACE, TRAIN), {"batch_size": 0}, "data.batch_size=128"),
        ((SPACE, TRAIN), {"eval_batch_size": 0}, "data.eval_batch_size=128"),
        ((SPACE, TRAIN), {"seed": -1}, "data.seed=0"),
        ((SPACE, TRAIN), {"binarize": "sometimes"}, "dynamic, fixed, threshold"),
        (REAL, {"binarize": "dynamic"}, "data.binarize=none"),
        (CONTINUOUS, {"binarize": "fixed"}, "data.binarize=none"),
        ((SPACE, TRAIN), {"binarize": "fixed", "dequantize": True}, "data.dequantize=false"),
        (CONTINUOUS, {"dequantize": True}, "data.dequantize=false"),
        (REAL, {"dequantize": True}, "data.dequantize=false"),
        (REAL, {"flip": True}, "data.flip=false"),
        (REAL, {"shift": 1}, "data.shift=0"),
        ((SPACE, TRAIN), {"shift": 4}, "0 to 3 pixels"),
        ((SPACE, TRAIN), {"shift": -1}, "0 to 3 pixels"),
    ],
)
def test_refused_before_any_data_is_read(memory, rows, options, fix):
    source = memory(*rows)
    source.load = None
    with pytest.raises(Refusal) as refusal:
        DataModule(source, **options)
    assert fix in str(refusal.value)


@pytest.mark.parametrize("options", [{"validation": 0}, {"validation": 100}, {"validation": 1.0}, {"validation": -3}])
@pytest.mark.parametrize("name", ["validation", "test"])
def test_empty_splits_are_refused(memory, name, options):
    value = options["validation"]
    with pytest.raises(Refusal, match=rf"data\.{name}={value}.*data\.{name}=0\.1"):
        DataModule(memory(SPACE, TRAIN), **{name: value}).setup()


@pytest.mark.parametrize(
    ("count", "test", "words"),
    [
        (5, None, r"takes 0 of 4 rows.*data\.validation=1\."),
        (2, None, r"data\.test=0\.2 needs at least 3 rows, .* there are 2"),
        (1, TEST, r"data\.validation=0\.1 needs at least 2 rows, .* there are 1"),
    ],
)
def test_too_few_rows_are_refused_with_the_number_needed(memory, count, test, words):
    with pytest.raises(Refusal, match=words):
        DataModule(memory(SPACE, TRAIN[:count], test)).setup()
    DataModule(memory(SPACE, TRAIN[:5]), validation=1).setup()


def test_fewer_rows_than_processes_are_refused(memory):
    data = DataModule(memory(SPACE, TRAIN, TEST), validation=2)
    data.trainer = SimpleNamespace(current_epoch=0, overfit_batches=0, global_rank=0, world_size=4)
    with pytest.raises(Refusal, match=r"val split has 2 rows for 4 processes.*trainer\.devices=2"):
        data.val_dataloader()
