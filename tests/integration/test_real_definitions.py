"""Model definitions as people wrote them for Determined, each compared with the same training written as a bare loop.

A bare loop seeds torch as the trial is seeded, so its weights begin as the trial's do and dropout draws the same; the batches come in the
order of the dataset. Then not only the losses must agree but every bit of every weight.
"""

from __future__ import annotations

import copy
import importlib.util
import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy, cross_entropy, mse_loss, nll_loss
from torch.utils.data import default_collate

import detjupyter as dj
from detjupyter.errors import TrialError

DEFINITIONS = Path(__file__).parents[1] / "definitions"
SEED = 1

Loader = Callable[..., Any]


@pytest.fixture
def load() -> Loader:
    """Return a function that loads one of the definitions, its data in order."""

    def load(name: str, **hparams: Any) -> Any:
        return dj.load(None, path=DEFINITIONS / name, seed=SEED, device="cpu", hparams=hparams)

    return load


@pytest.fixture(autouse=True)
def random_states() -> Iterator[None]:
    """Seed the bare loop like the trial, and restore the states that other tests use."""
    kept = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seed_all()
    yield
    random.setstate(kept[0])
    np.random.set_state(kept[1])
    torch.set_rng_state(kept[2])


def seed_all() -> None:
    """Seed all that a trial draws from."""
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)


def module_of(definition: str, name: str) -> ModuleType:
    """Import one module of a definition under a separate name."""
    spec = importlib.util.spec_from_file_location(f"bare_{definition}_{name}", DEFINITIONS / definition / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def batches(dataset: Any, size: int, *, drop_last: bool = False, collate: Callable[[list[Any]], Any] = default_collate) -> list[Any]:
    """Return one pass over ``dataset`` in its order."""
    starts = range(0, len(dataset) - (size - 1 if drop_last else 0), size)
    return [collate([dataset[index] for index in range(start, min(start + size, len(dataset)))]) for start in starts]


def values(session: Any, name: str, group: str = "training") -> list[float]:
    """Return one metric."""
    return list(session.metrics(name, group)[1])


def assert_same_weights(model: nn.Module, bare: nn.Module) -> None:
    """Compare two models tensor by tensor, buffers too, to the bit."""
    mine, theirs = list(model.state_dict().items()), list(bare.state_dict().values())
    assert len(mine) == len(theirs)
    different = [name for (name, one), other in zip(mine, theirs, strict=True) if not torch.equal(one, other)]
    assert different == []


def as_floats(losses: Sequence[torch.Tensor]) -> list[float]:
    """Return what 0-d tensors hold, as float64."""
    return [float(loss.detach()) for loss in losses]


class TestCallbackStyle:
    """What was written for 0.12: the loop steps, the trial only computes."""

    def test_rings_of_2020_trains_as_the_loop_it_stood_for(self, load: Loader) -> None:
        """Sibling modules, momentum, dropout, clipping by hyperparameter and a scheduler by epoch; losses and weights to the bit."""
        session = load("rings_2020", shuffle=False)
        session.train(wait=True)

        rings = module_of("rings_2020", "data")

        class Swish(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return x * torch.sigmoid(x)

        bare = nn.Sequential(
            nn.Flatten(), nn.Linear(2, 16), Swish(), nn.Dropout(0.25), nn.Linear(16, 16), Swish(), nn.Linear(16, 3), nn.LogSoftmax(dim=1)
        )
        optimizer = torch.optim.SGD(bare.parameters(), lr=0.2, momentum=0.9)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.8)
        epoch = batches(rings.get_dataset({"records": 352, "seed": 7}, train=True), 32)
        losses = []
        for batch_idx, (points, labels) in enumerate(itertools.islice(itertools.cycle(epoch), 40)):
            loss = nll_loss(bare(points), labels)
            loss.backward()
            nn.utils.clip_grad_norm_(bare.parameters(), 0.5)
            optimizer.step()
            optimizer.zero_grad()
            if (batch_idx + 1) % len(epoch) == 0:
                scheduler.step()
            losses.append(loss)

        assert len(epoch) == 11
        assert session.batches_trained == 40, "4 steps of 10 batches, as the YAML of 0.12 says"
        assert values(session, "loss") == as_floats(losses)
        assert_same_weights(session.context.models[0], bare)
        assert session.trial.scheduler.get_last_lr() == scheduler.get_last_lr()

    def test_rings_of_2020_is_validated_after_every_step_and_reduced_as_it_says(self, load: Loader) -> None:
        """``min_validation_period: 1`` is in steps; one metric is averaged, one is the largest, one is summed."""
        session = load("rings_2020", shuffle=False)
        session.train(wait=True)
        assert list(session.metrics("validation_error", "validation")[0]) == [10, 20, 30, 40]
        assert values(session, "records", "validation") == [88.0] * 4
        held_out = batches(module_of("rings_2020", "data").get_dataset({"records": 352, "seed": 7}, train=False), 32)
        model = session.context.models[0].eval()
        errors = [1 - float((model(points).argmax(1) == labels).float().mean()) for points, labels in held_out]
        assert values(session, "validation_error", "validation")[-1] == pytest.approx(sum(errors) / len(errors), abs=1e-6)
        assert values(session, "worst_error", "validation")[-1] == pytest.approx(max(errors), abs=1e-6)
        assert values(session, "validation_error", "validation")[-1] < 0.5, "chance is 0.67"

    def test_a_package_with_a_full_evaluation_trains_as_the_bare_loop(self, load: Loader) -> None:
        """``from . import data`` works with ``import settings``; ``reset_parameters`` draws random numbers; the loss is a bare tensor."""
        session = load("sine_package")
        session.train(wait=True)

        inputs = np.linspace(-np.pi, np.pi, 200, dtype=np.float32)[np.random.RandomState(3).permutation(200)]
        bare = nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 1))
        for layer in (bare[0], bare[2]):
            layer.reset_parameters()
        optimizer = torch.optim.Adam(bare.parameters(), lr=0.01)
        epoch = [(torch.from_numpy(part), torch.from_numpy(np.sin(part))) for part in np.split(inputs, 10)]
        losses = []
        for x, y in itertools.islice(itertools.cycle(epoch), 50):
            loss = mse_loss(bare(x.unsqueeze(1)).squeeze(1), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss)

        assert values(session, "loss") == as_floats(losses)
        assert_same_weights(session.context.models[0], bare)
        held_out = torch.from_numpy(np.linspace(-np.pi, np.pi, 30, dtype=np.float32) + np.float32(0.05)).unsqueeze(1)
        squares = (bare(held_out) - held_out.sin()).detach().square()
        assert values(session, "mean_squared_error", "validation") == [pytest.approx(float(squares.mean()), rel=1e-5)]
        assert values(session, "largest_error", "validation") == [pytest.approx(float(squares.max().sqrt()), rel=1e-5)]
        assert values(session, "records", "validation") == [30.0]


class TestContextStyle:
    """What is written since 0.12.13: the trial steps, through its context."""

    @pytest.mark.parametrize("average", [True, False])
    def test_four_batches_make_one_clipped_step(self, average: bool) -> None:
        """Gradients are averaged before they are clipped, or summed; the rate falls with the last update of each epoch."""
        config = DEFINITIONS / "shapes_cnn/const.yaml"
        text = config.read_text(encoding="utf-8").replace("average_aggregated_gradients: true", f"average_aggregated_gradients: {average}")
        session = dj.load(
            None,
            path=DEFINITIONS / "shapes_cnn",
            config=_parsed(text),
            seed=SEED,
            device="cpu",
            hparams={"shuffle": False},
        )
        session.train(wait=True)

        shapes = module_of("shapes_cnn", "shapes")
        bare = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout2d(0.2),
            nn.Flatten(),
            nn.Linear(150, 4),
        )
        optimizer = torch.optim.SGD(bare.parameters(), lr=0.05, momentum=0.9, nesterov=True)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
        epoch = batches(shapes.ShapesDataset(160, seed=1), 16)
        losses, norms = [], []
        for batch_idx, (pictures, kinds) in enumerate(itertools.islice(itertools.cycle(epoch), 30)):
            loss = cross_entropy(bare(pictures), kinds)
            loss.backward()
            losses.append(loss)
            if (batch_idx + 1) % 4 == 0:
                for parameter in bare.parameters() if average else ():
                    parameter.grad = parameter.grad / 4  # type: ignore[operator]
                norms.append(float(nn.utils.clip_grad_norm_(bare.parameters(), 0.3)))
                optimizer.step()
                optimizer.zero_grad()
                if (batch_idx + 4) // 10 > batch_idx // 10:  # the next update is in another epoch
                    scheduler.step()

        assert max(norms) > 0.3, "something was clipped"
        assert session.batches_trained == 30
        assert values(session, "loss") == as_floats(losses)
        assert_same_weights(session.trial.model, bare)
        rates = values(session, "lr")
        assert [rates[0], rates[8], rates[20], rates[28]] == pytest.approx([0.05, 0.025, 0.0125, 0.00625])
        assert list(session.metrics("accuracy", "validation")[0]) == [10, 20, 30]

    def test_a_gan_trains_two_models_in_one_batch(self, load: Loader) -> None:
        """Two optimizers, one scheduler, frozen weights passed through, and random input moved to the device."""
        session = load("gan_points", shuffle=False)
        session.train(wait=True)

        points_of, networks = module_of("gan_points", "data"), module_of("gan_points", "networks")
        generator, discriminator = networks.Generator(4), networks.Discriminator()
        opt_g = torch.optim.Adam(generator.parameters(), lr=2e-3, betas=(0.5, 0.999))
        opt_d = torch.optim.Adam(discriminator.parameters(), lr=2e-3, betas=(0.5, 0.999))
        epoch = batches(points_of.load_points(200, seed=1), 32, drop_last=True)
        valid, fake = torch.ones(32, 1), torch.zeros(32, 1)
        d_losses, g_losses = [], []
        for batch_idx, (points, _) in enumerate(itertools.islice(itertools.cycle(epoch), 40)):
            generated = generator(torch.randn(32, 4))
            g_loss = binary_cross_entropy(discriminator(generated), valid)
            opt_g.zero_grad()
            g_loss.backward()
            opt_g.step()
            real_loss = binary_cross_entropy(discriminator(points), valid)
            d_loss = (real_loss + binary_cross_entropy(discriminator(generated.detach()), fake)) / 2
            opt_d.zero_grad()  # the generator's step left gradients here, too; in the trial they are never made
            d_loss.backward()
            opt_d.step()
            if (batch_idx + 1) % len(epoch) == 0:
                opt_g.param_groups[0]["lr"] = 2e-3 * 0.95 ** ((batch_idx + 1) // len(epoch))
            d_losses.append(d_loss)
            g_losses.append(g_loss)

        assert len(epoch) == 6
        assert values(session, "g_loss") == as_floats(g_losses)
        assert values(session, "d_loss") == values(session, "loss") == as_floats(d_losses)
        assert_same_weights(session.trial.generator, generator)
        assert_same_weights(session.trial.discriminator, discriminator)

    def test_a_callback_steps_the_scheduler_after_each_validation(self, load: Loader) -> None:
        """ReduceLROnPlateau sees the validation's number, and the next batch already trains with the new rate."""
        session = load("plateau")
        session.train(wait=True)

        bare = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
        optimizer = torch.optim.SGD(bare.parameters(), lr=0.6)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.25, patience=0)
        x = torch.linspace(-2, 2, 50).unsqueeze(1)
        order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
        held_out = torch.linspace(-1.9, 1.9, 20).unsqueeze(1)
        rates, validations = [], []
        for _ in range(6):
            for part in order.split(10):
                rates.append(optimizer.param_groups[0]["lr"])
                loss = mse_loss(bare(x[part]), x[part] ** 2)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                validations.append(float(mse_loss(bare(held_out), held_out**2)))
            scheduler.step(validations[-1])

        assert len(set(rates)) > 1, "the rate fell"
        assert values(session, "learning_rate") == rates
        assert values(session, "validation_loss", "validation") == validations
        assert_same_weights(session.trial.model, bare)

    def test_a_nested_class_is_trained_with_sampled_hyperparameters(self, load: Loader) -> None:
        """``lib.trial:trials.Nested``: ranges are sampled by the seed, the sample trains as the bare loop does, and a given one wins."""
        session = load("nested")
        hparams = session.context.get_hparams()
        assert 1e-3 <= hparams["learning_rate"] <= 1e-1
        assert hparams["activation"] in ("tanh", "relu", "sigmoid")
        assert hparams["hidden"] in range(4, 13)
        assert hparams["model"] == {"bias": True, "outputs": 1}
        assert load("nested").context.get_hparams() == hparams
        others = [dj.load(None, path=DEFINITIONS / "nested", seed=seed, device="cpu").context.get_hparams() for seed in (2, 3, 4)]
        assert len({other["learning_rate"] for other in [hparams, *others]}) == 4
        session.train(wait=True)

        activation = {"tanh": nn.Tanh, "relu": nn.ReLU, "sigmoid": nn.Sigmoid}[hparams["activation"]]
        seed_all()
        bare = nn.Sequential(nn.Linear(3, hparams["hidden"]), activation(), nn.Linear(hparams["hidden"], 1))
        optimizer = torch.optim.AdamW(bare.parameters(), lr=hparams["learning_rate"], weight_decay=hparams["weight_decay"])
        inputs = torch.rand(64, 3, generator=torch.Generator().manual_seed(1)) - 0.5
        targets = inputs.prod(1, keepdim=True) + inputs.sum(1, keepdim=True)
        for x, y in itertools.islice(itertools.cycle(list(zip(inputs.split(8), targets.split(8), strict=True))), 20):
            optimizer.zero_grad()
            (bare(x) - y).square().mean().backward()
            optimizer.step()
        assert_same_weights(session.trial.model, bare)
        assert load("nested", learning_rate=0.5, activation="tanh").context.get_hparam("learning_rate") == 0.5

    def test_a_mean_teacher_and_a_curriculum_live_in_callbacks(self, load: Loader) -> None:
        """What callbacks change at the end of an epoch is there in the next batch."""
        session = load("stateful_callbacks", shuffle=False)
        session.train(wait=True)

        bare = nn.Sequential(nn.Linear(2, 10), nn.Tanh(), nn.Linear(10, 1))
        teacher = copy.deepcopy(bare)
        optimizer = torch.optim.RMSprop(bare.parameters(), lr=0.005)
        inputs = torch.rand(96, 2, generator=torch.Generator().manual_seed(1))
        targets = (6 * inputs[:, :1]).sin() * inputs[:, 1:]
        noise = 0.0
        losses = []
        for _ in range(4):
            for x, y in zip(inputs.split(12), targets.split(12), strict=True):
                outputs = bare(x + noise * torch.randn_like(x))
                loss = mse_loss(outputs, y) + 0.5 * mse_loss(outputs, teacher(x).detach())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                with torch.no_grad():
                    for slow, quick in zip(teacher.parameters(), bare.parameters(), strict=True):
                        slow.lerp_(quick, 1 - 0.9)
                losses.append(loss)
            noise += 0.1

        assert values(session, "loss") == as_floats(losses)
        assert values(session, "updates") == list(range(1, 33))
        assert_same_weights(session.trial.model, bare)
        assert_same_weights(session.trial.teacher.model, teacher)
        assert session.trial.curriculum.history == [0, 1, 2, 3]

    def test_augmentation_draws_from_the_trials_own_generators(self, load: Loader) -> None:
        """Without workers, dataset, train_batch and dropout draw one after the other from Python's, numpy's and torch's generators."""
        session = load("augmentation", workers=0, shuffle=False)
        session.train(epochs=2, wait=True)

        signals_of = module_of("augmentation", "augmentation")
        bare = nn.Sequential(nn.Linear(16, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.3), nn.Linear(24, 3))
        optimizer = torch.optim.SGD(bare.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=7, T_mult=2)
        dataset = signals_of.Signals(108, seed=1, augment=True)
        losses = []
        for _, start in itertools.product(range(2), range(0, 108, 12)):
            signals, kinds = default_collate([dataset[index] for index in range(start, start + 12)])
            signals = signals * (1 + 0.1 * random.random()) + 0.1 * np.random.rand() + 0.01 * torch.randn_like(signals)
            loss = cross_entropy(bare(signals), kinds)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            losses.append(loss)

        assert values(session, "loss") == as_floats(losses)
        assert_same_weights(session.trial.model, bare)

    def test_workers_augment_the_same_however_many_there_are(self, load: Loader) -> None:
        """The random numbers of a worker depend on the batch, not on the worker; every record is drawn again in the next epoch."""
        trained = []
        for workers in (1, 2):
            session = load("augmentation", workers=workers)
            session.train(batches=12, wait=True)
            trained.append((values(session, "loss"), session.trial.model))
            session.close()
        assert trained[0][0] == trained[1][0]
        assert_same_weights(trained[0][1], trained[1][1])


class TestMixedPrecision:
    """Forwards in 16 bits; on a CPU in bfloat16."""

    def test_the_switch_trains_as_autocast_written_out(self, load: Loader) -> None:
        """Outputs come back as float32; gradients are clipped at their true size."""
        session = load("amp_automatic")
        session.train(wait=True)

        problem = module_of("amp_automatic", "problem")
        bare = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Dropout(0.1), nn.Linear(32, 1))
        optimizer = torch.optim.SGD(bare.parameters(), lr=0.05, momentum=0.9)
        losses = []
        for x, y in itertools.islice(itertools.cycle(batches(problem.Regression(96, seed=5), 16)), 20):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                outputs = bare(x)
            loss = mse_loss(outputs.float(), y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(bare.parameters(), 1.0)
            optimizer.step()
            losses.append(loss)

        assert values(session, "is_float32") == [1.0] * 20
        assert values(session, "loss") == as_floats(losses)
        assert_same_weights(session.trial.model, bare)
        assert session.trial.model[0].weight.dtype is torch.float32

    def test_a_scaler_of_ones_own_scales_aggregates_and_is_saved(self, load: Loader) -> None:
        """Scaled by hand over two batches, stepped by the context; the scale grows as the scaler says and survives a restore."""
        session = load("amp_by_hand")
        session.train(wait=True)

        problem = module_of("amp_by_hand", "problem")
        bare = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 1))
        optimizer = torch.optim.SGD(bare.parameters(), lr=0.05, momentum=0.9)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=7)
        scales = []
        for batch_idx, (x, y) in enumerate(itertools.islice(itertools.cycle(batches(problem.Regression(96, seed=5), 16)), 20)):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = mse_loss(bare(x), y)
            scaler.scale(loss).backward()
            if batch_idx % 2:
                for parameter in bare.parameters():
                    parameter.grad.div_(2)  # type: ignore[union-attr]
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()
            scales.append(scaler.get_scale())

        assert scales[0] == 1024.0
        assert scales[-1] == 2048.0
        assert values(session, "scale") == scales
        assert_same_weights(session.trial.model, bare)
        saved = session.checkpoint()
        session.trial.scaler.update(4.0)
        session.restore(saved)
        assert session.trial.scaler.get_scale() == 2048.0


class TestMetrics:
    """What trials report besides a loss."""

    def test_custom_reducers_count_what_no_average_can(self, load: Loader) -> None:
        """A class and a function, for training and for validation; the last batch is smaller, so an average of batches would be wrong."""
        session = load("confusion")
        session.train(wait=True)
        points, labels = session.trial.build_validation_data_loader().dataset.tensors
        said = session.trial.model(points).argmax(1)
        recall = [float((said[labels == kind] == kind).float().mean()) for kind in range(3)]
        assert values(session, "accuracy", "validation") == [pytest.approx(float((said == labels).float().mean()))]
        assert values(session, "balanced_accuracy", "validation") == [pytest.approx(sum(recall) / 3)]
        assert values(session, "records", "validation") == [70.0]
        assert values(session, "rare", "validation") == [pytest.approx(float((labels == 2).float().mean()))]

    def test_custom_reducers_are_reset_for_every_reporting_period(self, load: Loader) -> None:
        """Five batches per reporting period (``scheduling_unit``), 24 records each, except the batch of 14 at the end of an epoch."""
        session = load("confusion")
        session.train(wait=True)
        ends, records = session.metrics("train_records")
        assert list(ends) == [5, 10, 15, 20]
        assert list(records) == [110.0] * 4
        labels = session.trial.build_training_data_loader().dataset.tensors[1]
        assert values(session, "rare") == [pytest.approx(float((labels == 2).float().mean()))] * 4

    @pytest.mark.filterwarnings("ignore:Values of type")
    def test_strings_in_a_batch_reach_the_trial_as_they_are(self, load: Loader) -> None:
        """Strings in dicts, also in nested ones, are kept; a metric that is a string has no curve, and the training continues."""
        session = load("sentences")
        session.train(wait=True)

        sentences = module_of("sentences", "sentences")
        embed, score = nn.Embedding(128, 12, padding_idx=0), nn.Linear(12, 2)
        bare = nn.ModuleList([embed, score])
        optimizer = torch.optim.Adagrad(bare.parameters(), lr=0.2)
        epoch = batches(sentences.Sentences(0, 1), 8, collate=sentences.collate)
        seen = []
        for batch in itertools.islice(itertools.cycle(epoch), 32):
            codes = batch["codes"]
            seen.append((batch["text"][0], batch["source"]["name"][0]))
            loss = cross_entropy(score(embed(codes).sum(1) / (codes > 0).sum(1, keepdim=True)), batch["label"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        assert session.trial.seen == seen
        assert session.run.metric_names("training") == ["loss"]
        assert session.record().records_trained == 4 * 60, "get_batch_length counts the texts"
        assert_same_weights(session.trial.model, bare)
        held_out = sentences.collate([sentences.Sentences(0, 3)[index] for index in range(20)])
        codes = held_out["codes"]
        said = score(embed(codes).sum(1) / (codes > 0).sum(1, keepdim=True)).argmax(1)
        right = [float(part.float().mean()) for part in (said == held_out["label"]).split(8)]
        assert values(session, "accuracy", "validation")[-1] == pytest.approx(sum(right) / len(right))
        assert values(session, "accuracy", "validation")[-1] > 0.9

    def test_a_stream_is_read_over_and_over(self, load: Loader) -> None:
        """An iterable dataset has no length: batches of a whole pass, the short one at its end, then the next pass; no epoch ever ends."""
        session = load("streaming")
        session.train(wait=True)

        bare = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(bare.parameters(), lr=0.1)
        rows = []
        value = 0.2
        for _ in range(73):
            value = (value * 1.7 + 0.31) % 1.0
            rows.append((torch.tensor([value, value * value]), torch.tensor([3 * value - 0.5])))
        losses = []
        for x, y in itertools.islice(itertools.cycle(batches(rows, 10)), 25):
            loss = mse_loss(bare(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss)

        assert session.trial.lengths == [(0, 3 if batch % 8 == 7 else 10) for batch in range(25)]
        assert values(session, "loss") == as_floats(losses)
        assert_same_weights(session.trial.model, bare)

    def test_a_stream_needs_the_opt_out(self, tmp_path: Path) -> None:
        """Without it the message names the call that allows the loader."""
        source = (DEFINITIONS / "streaming/model_def.py").read_text(encoding="utf-8")
        lines = [line for line in source.splitlines() if "disable_dataset_reproducibility_checks" not in line]
        (tmp_path / "model_def.py").write_text("\n".join(lines), encoding="utf-8")
        session = dj.load("model_def:StreamingTrial", path=tmp_path, hparams={"global_batch_size": 10, "learning_rate": 0.1}, device="cpu")
        with pytest.raises(TrialError) as raised:
            session.train(batches=3, wait=True)
        assert "disable_dataset_reproducibility_checks" in (raised.value.hint or "")


ALL = sorted(path.parent.name for path in DEFINITIONS.glob("*/const.yaml"))


@pytest.mark.filterwarnings("ignore:Values of type")
@pytest.mark.parametrize("name", ALL)
def test_every_definition_goes_back_to_a_checkpoint(load: Loader, name: str) -> None:
    """Trained, saved, trained further, restored and trained again: both continuations are identical to the bit."""
    session = load(name)
    session.train(batches=7, wait=True)
    saved = session.checkpoint()
    session.train(batches=6, wait=True)
    first = [_state(model) for model in session.context.models]
    session.restore(saved)
    assert session.batches_trained == 7
    session.train(batches=6, wait=True)
    second = [_state(model) for model in session.context.models]
    for one, other in zip(first, second, strict=True):
        assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert all(math.isfinite(value) for value in values(session, "loss"))
    session.close()


def test_all_definitions_live_in_one_process_without_touching_each_other(load: Loader) -> None:
    """Modules of equal names (``data``, ``model_def``, ``problem``) are each definition's own, and so are the random numbers."""
    alone = {}
    for name in ("rings_2020", "gan_points", "sine_package"):
        session = load(name)
        session.train(batches=6, wait=True)
        alone[name] = _state(session.context.models[0])
        session.close()
    sessions = {name: load(name) for name in alone}
    for _ in range(3):
        for session in sessions.values():
            session.train(batches=2, wait=True)
    for name, session in sessions.items():
        together = _state(session.context.models[0])
        assert [key for key in together if not torch.equal(together[key], alone[name][key])] == [], name


def _state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def _parsed(text: str) -> dict[str, Any]:
    from ruamel.yaml import YAML

    return dict(YAML(typ="safe").load(text))
