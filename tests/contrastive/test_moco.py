import copy
import math
from collections import deque

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from torch import nn

import skrep
from skrep import MoCoTransformer, RandomEncoder
from skrep.backbones import MLP, ConvNet
from skrep.data import AsImages
from skrep.evaluation import few_label_probe
from tests.engine.test_training import Ctrl, weights

DICTIONARIES = ["queue", "memory_bank", "end_to_end"]


@pytest.fixture(scope="module")
def images(digits):
    return AsImages((8, 8)).fit_transform(digits[0])


def quick(**options):
    return MoCoTransformer(**{"max_epochs": 2, "random_state": 0, "backbone": ConvNet(2)} | options)


def state(estimator):
    return estimator.net_.module_.state_dict()


def assert_same_bits(estimator, expected):
    assert state(estimator).keys() == state(expected).keys()
    for name, tensor in state(estimator).items():
        assert torch.equal(tensor, state(expected)[name]), name


@pytest.mark.exhaustive
def test_it_beats_pixels_and_the_untrained_network_with_few_labels(images, digits):
    encoder = MoCoTransformer(max_epochs=15, random_state=0)
    probe = {"labels": [5], "n_resamples": 10}
    moco, raw, random = (
        few_label_probe(e, X, digits[1], **probe).mean[0]
        for e, X in [(encoder, images), (None, digits[0]), (RandomEncoder(like=encoder), images)]
    )
    assert moco > max(raw, random) + 0.02


@pytest.mark.parametrize("dictionary", DICTIONARIES)
def test_the_loss_falls(dictionary, images):
    encoder = quick(dictionary=dictionary, batch_size=60, max_epochs=15, backbone=ConvNet(4)).fit(images)
    chance = np.log(1 + encoder.queue_size_ if encoder.queue_size_ else 60)
    assert encoder.history_[-1]["train_loss"] < chance - 0.4


# --- against algorithm 1, by hand -----------------------------------------------------------------------------------


class Recorder:
    """Fits, and keeps what each step was given: network before the first, views, rows, groups, order, random state."""

    def __init__(self, estimator, X, groups):
        self.steps, self.before = [], None
        original = estimator.make_views

        def make_views(data, module):
            seen, recall = {}, module.dictionary.recall

            def watched(batch, groups, generator):
                seen["random"] = generator.get_state()
                return recall(batch, groups, generator)

            module.dictionary.recall = watched  # what the hook takes
            views = original(data, module)
            del module.dictionary.recall

            def recorded(batch, generator):
                if self.before is None:
                    self.before = copy.deepcopy(module)
                inputs, target = views(batch, generator)
                self.steps.append((*inputs, seen["random"]))
                return inputs, target

            return recorded

        estimator.make_views = make_views
        self.fitted = estimator.fit(X, groups=groups)


def unit(z):
    return z / z.norm(dim=-1, keepdim=True)


class Algorithm1:
    """He et al. 2020, Algorithm 1 and Figure 2, one query at a time; stochastic gradient descent by hand."""

    def __init__(self, module, owners, *, dictionary, symmetric, momentum, lr, temperature, n_negatives=0, n_splits=1):
        self.encoder, self.projector = copy.deepcopy(module.encoder), copy.deepcopy(module.projector)
        self.dictionary, self.symmetric, self.momentum = dictionary, symmetric, momentum
        self.lr, self.temperature, self.n_negatives, self.n_splits = lr, temperature, n_negatives, n_splits
        self.owners = owners  # of each row: itself, or its group
        self.learned = [*self.encoder.parameters(), *self.projector.parameters()]
        self.velocity = [torch.zeros_like(p) for p in self.learned]
        if dictionary == "queue":
            self.key_encoder, self.key_projector = copy.deepcopy(module.encoder), copy.deepcopy(module.projector)
            self.queue = deque(((key, -1) for key in module.dictionary.keys.clone()), maxlen=n_negatives)
        if dictionary == "memory_bank":
            self.bank = list(module.dictionary.keys.clone())

    def run(self, encoder, projector, x):
        return torch.cat([projector(encoder.embed(part)) for part in x.tensor_split(self.n_splits)])

    def step(self, views, index, groups, order, random):
        n, first, second = len(index), views[: len(index)], views[len(index) :]
        rows = index.tolist()
        owners = [self.owners[row] for row in rows]
        assert groups is None or groups.tolist() == owners
        if self.dictionary == "queue":
            q = self.run(self.encoder, self.projector, views if self.symmetric else first)
            answers = views if self.symmetric else second
            order = torch.arange(len(answers)) if order is None else order
            with torch.no_grad():
                shuffled = self.run(self.key_encoder, self.key_projector, answers[order])
            k = [None] * len(answers)
            for place, source in enumerate(order.tolist()):
                k[source] = shuffled[place]
            if self.symmetric:
                k = k[n:] + k[:n]
        else:
            both = self.run(self.encoder, self.projector, torch.cat([first, second]))
            q = both if self.symmetric else both[:n]
            k = torch.cat([both[n:], both[:n]])[: len(q)]
        if self.dictionary == "memory_bank":
            generator = torch.Generator()
            generator.set_state(random)
            drawn = torch.randint(len(self.bank), (self.n_negatives,), generator=generator).tolist()
        losses = []
        for i in range(len(q)):
            row, own, half = rows[i % n], owners[i % n], i // n
            if self.dictionary == "queue":
                positive, others = k[i], [key for key, owner in self.queue if owner != own]
            elif self.dictionary == "memory_bank":
                positive, others = self.bank[row], [self.bank[j] for j in drawn if self.owners[j] != own]
            else:
                positive, others = k[i], [k[half * n + j] for j in range(n) if owners[j] != own]
            candidates = torch.stack([positive, *others])
            logits = unit(candidates) @ unit(q[i]) / self.temperature
            losses.append(torch.logsumexp(logits, 0) - logits[0])
        loss = sum(losses) / len(losses)
        gradients = torch.autograd.grad(loss, self.learned)
        with torch.no_grad():
            for p, v, g in zip(self.learned, self.velocity, gradients, strict=True):
                v.mul_(0.9).add_(g)
                p.sub_(self.lr * v)
            if self.dictionary == "queue":
                followers = [*self.key_encoder.parameters(), *self.key_projector.parameters()]
                for slow, fast in zip(followers, self.learned, strict=True):
                    slow.copy_(self.momentum * slow + (1 - self.momentum) * fast)
                self.queue.extend((unit(key), owners[i % n]) for i, key in enumerate(k))
            if self.dictionary == "memory_bank":
                for i, row in enumerate(rows):
                    seen = unit(q[i]) if not self.symmetric else (unit(q[i]) + unit(q[n + i])) / 2
                    self.bank[row] = unit(self.momentum * self.bank[row] + (1 - self.momentum) * seen)
        return loss.item()


def close(ours, theirs, but=()):
    for name, tensor in theirs.state_dict().items():
        if not name.endswith(but or "\0"):
            torch.testing.assert_close(
                ours.state_dict()[name], tensor, atol=2e-5, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
            )


CASES = {
    "queue": ("queue", {"queue_size": 37}),  # no multiple of a batch
    "queue smaller than a batch": ("queue", {"queue_size": 5}),
    "queue of one": ("queue", {"queue_size": 1}),
    "queue of all": ("queue", {"queue_size": 40}),  # own older keys are in it from the second epoch on
    "queue, parts": ("queue", {"queue_size": 37, "bn_splits": 2}),
    "queue, three parts": ("queue", {"queue_size": 7, "bn_splits": 3}),
    "memory bank": ("memory_bank", {"queue_size": 30}),
    "end to end": ("end_to_end", {}),
}


GROUPS = np.arange(40) % 7

CASES_OF_GROUPS = ["queue of all", "queue, parts", "memory bank", "end to end"]


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(
    ("case", "groups"), [*((case, None) for case in CASES), *((case, GROUPS) for case in CASES_OF_GROUPS)]
)
def test_it_is_algorithm_1(case, groups, symmetric, images):
    dictionary, options = CASES[case]
    common = {"symmetric": symmetric, "momentum": 0.9, "lr": 0.02, "temperature": 0.3}
    recorded = Recorder(
        quick(
            dictionary=dictionary,
            batch_size=16,
            optimizer="sgd",
            lr_schedule="constant",
            weight_decay=0.0,
            projection_dim=6,
            **options,
            **common,
        ),
        images[:40],
        groups,
    )
    n_splits = options.get("bn_splits", 1)
    by_hand = Algorithm1(
        recorded.before,
        range(40) if groups is None else groups.tolist(),
        dictionary=dictionary,
        n_negatives=options.get("queue_size", 0),
        n_splits=n_splits,
        **common,
    )
    assert [len(index) for _, index, *_ in recorded.steps] == [14, 13, 13] * 2
    losses = [by_hand.step(*step) for step in recorded.steps]
    module = recorded.fitted.net_.module_
    expected = [(14 * a + 13 * b + 13 * c) / 40 for a, b, c in (losses[:3], losses[3:])]
    np.testing.assert_allclose([row["train_loss"] for row in recorded.fitted.history_], expected, rtol=1e-5)
    running = ("running_mean", "running_var", "num_batches_tracked") if n_splits > 1 else ()  # see test_split_norm.py
    close(module.encoder, by_hand.encoder, running)
    close(module.projector, by_hand.projector, running)
    if dictionary == "queue":
        close(module.key_encoder, by_hand.key_encoder, running)
        close(module.key_projector, by_hand.key_projector, running)
        at = int(module.dictionary.position)
        keys = torch.stack([key for key, _ in by_hand.queue])
        torch.testing.assert_close(module.dictionary.keys.roll(-at, 0), keys, atol=2e-5, rtol=1e-4)
        assert module.dictionary.rows.roll(-at, 0).tolist() == [row for _, row in by_hand.queue]
    if dictionary == "memory_bank":
        torch.testing.assert_close(module.dictionary.keys, torch.stack(by_hand.bank), atol=2e-5, rtol=1e-4)


def test_keys_have_batch_statistics_of_their_own(images):
    def statistics(momentum):
        module = quick(momentum=momentum, max_epochs=1).fit(images[:100]).net_.module_
        return [
            [b.clone() for name, b in part.named_buffers() if "running_mean" in name]
            for part in (module.encoder, module.key_encoder)
        ]

    queries, keys = statistics(1.0)  # followers that stand still, but see the data
    assert all(not torch.equal(q, k) and k.abs().max() > 0 for q, k in zip(queries, keys, strict=True))
    module = quick(momentum=0.0).fit(images[:100]).net_.module_
    for fast, slow in [(module.encoder, module.key_encoder), (module.projector, module.key_projector)]:
        for p, q in zip(fast.parameters(), slow.parameters(), strict=True):
            torch.testing.assert_close(p, q)  # biases too


def test_followers_do_not_learn_by_gradients(images):
    encoder = quick(momentum=1.0).fit(images[:100])
    module = encoder.net_.module_
    assert not any(p.requires_grad for part in (module.key_encoder, module.key_projector) for p in part.parameters())
    before = copy.deepcopy([*module.key_encoder.parameters()])
    encoder.partial_fit(images[:100])
    assert all(torch.equal(a, b) for a, b in zip(before, module.key_encoder.parameters(), strict=True))


def test_parts_without_batch_normalisation_change_nothing(images):
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.Tanh())

        def forward(self, x):
            return self.net(x)

    class Headless(MoCoTransformer):
        def make_module(self, data):
            module = super().make_module(data)
            module.projector[1], module.key_projector[1] = nn.Identity(), nn.Identity()
            return module

    def fit(n_splits):
        options = {"backbone": Plain(), "random_state": 0, "max_epochs": 2, "augment": "noise", "batch_size": 33}
        return Headless(**options, bn_splits=n_splits).fit(images[:101])

    torch.manual_seed(0)
    whole = fit(1)
    torch.manual_seed(0)
    parts = fit(2)
    torch.testing.assert_close(weights(parts), weights(whole), atol=1e-5, rtol=1e-4)
    for name in ("keys", "rows", "position"):
        ours, theirs = (getattr(e.net_.module_.dictionary, name) for e in (parts, whole))
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


# --- momentum, sizes ------------------------------------------------------------------------------------------------


def momenta(encoder, X, call="fit"):
    seen = []

    class Watched(type(encoder)):
        def _momentum(self, done):
            seen.append(super()._momentum(done))
            return seen[-1]

    encoder.__class__ = Watched
    getattr(encoder, call)(X)
    return seen


def test_momentum_is_a_number_or_a_schedule(images):
    X = images[:90]
    options = {"batch_size": 30, "max_epochs": 4}
    assert momenta(quick(momentum=0.7, **options), X) == [0.7] * 12
    assert momenta(quick(**options), X) == [0.99] * 12
    assert momenta(quick(dictionary="memory_bank", **options), X) == [0.5] * 12
    encoder = quick(momentum=(0.8, 1.0), **options)
    done = (np.arange(12) + 0.5) / 12
    np.testing.assert_allclose(momenta(encoder, X), 1 - 0.2 * (np.cos(np.pi * done) + 1) / 2, rtol=1e-12)
    assert momenta(encoder, X, "partial_fit") == pytest.approx([0.8] * 3)
    assert momenta(quick(momentum=[0.2, 0.9], batch_size=30), X, "partial_fit") == pytest.approx([0.2] * 3)


def test_the_queue_is_sized_to_the_data(images, table):
    assert quick(max_epochs=1).fit(images).queue_size_ == 150
    assert quick(max_epochs=1, dictionary="memory_bank").fit(images[:100]).queue_size_ == 25
    assert quick(max_epochs=1, dictionary="end_to_end").fit(images[:100]).queue_size_ == 0
    assert MoCoTransformer(max_epochs=1).fit(table[:3]).queue_size_ == 1
    assert MoCoTransformer(max_epochs=1).fit(np.repeat(table, 100, 0)).queue_size_ == 1024
    assert quick(max_epochs=1, queue_size=600).fit(images).queue_size_ == 600


@pytest.mark.parametrize("dictionary", DICTIONARIES)
@pytest.mark.parametrize("n", [2, 3, 5, 33])
def test_few_rows(n, dictionary, images):
    history = quick(dictionary=dictionary, batch_size=8).fit(images[:n]).history_
    assert all(math.isfinite(value) for row in history for value in row.values())


BAD = {
    "batches of one": ({"batch_size": 1}, r"batch_size=1\b.*\b2\b"),
    "queue larger than the data": ({"queue_size": 601}, r"queue_size=601\b.*\b600\b.*\b600\b"),
    "bank larger than the data": ({"queue_size": 601, "dictionary": "memory_bank"}, r"queue_size=601\b.*memory.bank"),
    "queue larger than what is left": ({"queue_size": 550, "validation_fraction": 0.1}, r"queue_size=550\b.*\b540\b"),
    "queue end to end": ({"queue_size": 9, "dictionary": "end_to_end"}, r"queue_size=9.*end_to_end.*batch_size"),
    "parts end to end": ({"bn_splits": 2, "dictionary": "end_to_end"}, r"bn_splits=2.*end_to_end"),
    "parts of a bank": ({"bn_splits": 2, "dictionary": "memory_bank"}, r"bn_splits=2.*memory_bank"),
    "no queue": ({"queue_size": 0}, "queue_size=0"),
    "no parts": ({"bn_splits": 0}, "bn_splits=0"),
    "dictionary": ({"dictionary": "heap"}, "dictionary='heap'.*'queue'.*'memory_bank'.*'end_to_end'"),
    "momentum": ({"momentum": 1.5}, r"momentum=1\.5"),
    "momentum of three": ({"momentum": (0.1, 0.2, 0.3)}, r"momentum=\(0\.1, 0\.2, 0\.3\)"),
    "momentum beyond": ({"momentum": (0.9, 1.1)}, r"momentum=\(0\.9, 1\.1\)"),
    "temperature": ({"temperature": 0}, r"temperature=0\b"),
    "output not 2-D": ({"backbone": nn.Conv2d(1, 2, 3)}, r"backbone=Conv2d\b.*\(2, 2, 6, 6\).*Flatten"),
    "no parameters": ({"backbone": nn.Flatten()}, r"backbone=Flatten\b.*LazyLinear"),
    "backbone of tables": ({"backbone": MLP()}, r"MLP.*\(8, 8, 1\).*ConvNet"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters(case, images):
    options, message = BAD[case]
    encoder = quick(**options)
    with pytest.raises(ValueError, match=message):
        encoder.fit(images)
    assert not hasattr(encoder, "net_")
    assert not hasattr(encoder, "queue_size_")


@pytest.mark.parametrize(("dictionary", "n"), [("queue", 1), ("memory_bank", 99), ("memory_bank", 101)])
def test_rows_that_cannot_be_trained_on_later(dictionary, n, images):
    encoder = quick(dictionary=dictionary).fit(images[:100])
    before, attributes = copy.deepcopy(state(encoder)), sorted(vars(encoder))
    message = r"\brow\b.*\b2\b.*batch_size=None" if n == 1 else rf"\b{n}\b.*\b100\b.*dictionary='queue'"
    with pytest.raises(ValueError, match=message):
        encoder.partial_fit(images[:n])
    assert all(torch.equal(tensor, before[name]) for name, tensor in state(encoder).items())
    assert sorted(vars(encoder)) == attributes
    encoder.partial_fit(images[:100])


# --- interrupted, saved, continued ----------------------------------------------------------------------------------

RUNS = {
    "queue": {},
    "queue, one way": {"symmetric": False, "queue_size": 7},
    "memory bank": {"dictionary": "memory_bank"},
    "end to end": {"dictionary": "end_to_end"},
    "schedule": {"momentum": (0.5, 1.0)},
    "bank, schedule": {"dictionary": "memory_bank", "momentum": (0.1, 0.9)},
    "parts": {"bn_splits": 3},
}


@pytest.mark.parametrize("at", [pytest.param((0, 1), marks=pytest.mark.exhaustive), (1, 3)])
@pytest.mark.parametrize("case", RUNS)
def test_interrupted_and_resumed_is_the_same_to_the_bit(case, at, images, tmp_path):
    options = {"max_epochs": 3, "batch_size": 60, "validation_fraction": 0.1} | RUNS[case]
    X = images[:300]
    whole = quick(**options).fit(X)
    with pytest.raises(KeyboardInterrupt):
        quick(**options, checkpoint=tmp_path, callbacks=[Ctrl(at, "raise")]).fit(X)
    resumed = quick(**options, checkpoint=tmp_path, layer=1).fit(X)
    assert resumed.resumed_from_ == at
    assert_same_bits(resumed, whole)
    assert resumed.history_ == whole.history_
    assert {"projection_std", "effective_rank", "valid_loss"} <= whole.history_[0].keys()
    for encoder in (whole, resumed):
        encoder.partial_fit(X[:270] if case.startswith(("memory", "bank")) else X[:50])
    assert_same_bits(resumed, whole)


@pytest.mark.parametrize("dictionary", DICTIONARIES)
def test_a_file_keeps_the_dictionary(dictionary, images, tmp_path):
    X = images[:100]
    encoder = quick(dictionary=dictionary, queue_size=None if dictionary == "end_to_end" else 13).fit(X)
    skrep.save(encoder, tmp_path / "file")
    loaded = skrep.load(tmp_path / "file")
    assert_same_bits(loaded, encoder)
    assert loaded.queue_size_ == encoder.queue_size_
    np.testing.assert_array_equal(loaded.transform(X), encoder.transform(X))
    frozen = [name for name, p in encoder.net_.module_.named_parameters() if not p.requires_grad]
    assert [name for name, p in loaded.net_.module_.named_parameters() if not p.requires_grad] == frozen
    fresh = clone(encoder).fit(X)  # whose optimizer is as new
    for each in (fresh, loaded):
        each.net_.renew_optimizer()
        each.partial_fit(X)
    assert_same_bits(loaded, fresh)


@pytest.mark.parametrize("queue_size", [None, 21])
@pytest.mark.parametrize("dictionary", DICTIONARIES)
def test_untrained_networks(dictionary, queue_size, images, tmp_path):
    queue_size = None if dictionary == "end_to_end" else queue_size
    like = quick(dictionary=dictionary, queue_size=queue_size)
    random = RandomEncoder(like=like).fit(images[:100])
    features = random.transform(images[:9])
    assert features.shape == (9, 64)
    skrep.save(random, tmp_path / "file")
    np.testing.assert_array_equal(skrep.load(tmp_path / "file").transform(images[:9]), features)


@pytest.mark.parametrize("dictionary", DICTIONARIES)
def test_warm_start_goes_on(dictionary, images):
    encoder = quick(dictionary=dictionary, warm_start=True).fit(images[:100])
    before = copy.deepcopy(state(encoder))
    encoder.fit(images[:100])
    assert encoder.n_epochs_ == 4
    assert encoder.history_[2]["train_loss"] < encoder.history_[0]["train_loss"]
    assert not all(torch.equal(tensor, before[name]) for name, tensor in state(encoder).items())


def test_warm_start_on_more_rows(images):
    encoder = quick(warm_start=True).fit(images[:100])
    assert encoder.fit(images[:300]).n_epochs_ == 4


@pytest.mark.parametrize("dictionary", DICTIONARIES)
def test_the_best_weights_and_the_rows_that_are_held_out(dictionary, images):
    encoder = quick(dictionary=dictionary, max_epochs=30, early_stopping=1, lr=0.05, batch_size=40).fit(images[:200])
    losses = [row["valid_loss"] for row in encoder.history_]
    assert all(map(math.isfinite, losses))
    assert len(losses) < 30
    n_rows = {"memory_bank": 180, "queue": 45}
    if dictionary in n_rows:
        assert len(encoder.net_.module_.dictionary.keys) == n_rows[dictionary]
    if dictionary == "queue":
        assert encoder.net_.module_.dictionary.rows.max() < 180


@pytest.mark.filterwarnings("ignore:precision='bfloat16'")  # of processors that emulate it
@pytest.mark.parametrize("dictionary", DICTIONARIES)
def test_half_precision(dictionary, images, table):
    for X, options in [(images[:100], {"bn_splits": 2} if dictionary == "queue" else {}), (table, {"backbone": None})]:
        encoder = quick(dictionary=dictionary, precision="bfloat16", **options).fit(X)
        assert encoder.transform(X).dtype == np.float32
        assert all(tensor.dtype != torch.bfloat16 for tensor in state(encoder).values())
        exact = quick(dictionary=dictionary, **options).fit(X)
        assert encoder.history_[-1]["train_loss"] == pytest.approx(exact.history_[-1]["train_loss"], rel=0.05)


@pytest.mark.parametrize("dictionary", DICTIONARIES)
def test_tables(dictionary, table):
    encoder = MoCoTransformer(3, dictionary=dictionary, max_epochs=3, random_state=0).fit(table)
    assert encoder.transform(table).shape == (60, 3)
    again = clone(encoder).fit(table)
    assert_same_bits(again, encoder)
    assert MoCoTransformer(dictionary=dictionary, random_state=0).fit(table[:40]).n_epochs_ == 200  # sized by its work


@pytest.mark.parametrize("dictionary", DICTIONARIES)
def test_sample_views(dictionary, images, table):
    encoder = quick(dictionary=dictionary).fit(images[:100])
    before = copy.deepcopy(state(encoder))
    first, second = encoder.sample_views(images[200:205])
    assert first.shape == second.shape == (5, 8, 8, 1)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, encoder.sample_views(images[200:205])[0])
    assert all(torch.equal(tensor, before[name]) for name, tensor in state(encoder).items())
    views = MoCoTransformer(dictionary=dictionary, max_epochs=1, bn_splits=1).fit(table).sample_views(table[:7])
    assert [view.shape for view in views] == [(7, 6), (7, 6)]


def test_one_way_is_one_view_each(images):
    for symmetric, seen in [(True, 64), (False, 32)]:
        encoder = quick(symmetric=symmetric).fit(images[:64])
        sizes = []
        for head in (encoder.net_.module_.projector, encoder.net_.module_.key_projector):
            head.register_forward_hook(lambda layer, inputs, output, sizes=sizes: sizes.append(len(output)))
        encoder.partial_fit(images[:32])
        assert sizes == [seen, seen]


def test_dictionaries_are_searched_by_name(images, digits):
    pipe = Pipeline([("enc", quick(max_epochs=1)), ("probe", LogisticRegression(max_iter=3000))])
    grid = {"enc__dictionary": DICTIONARIES, "enc__momentum": [0.9, (0.9, 1.0)]}
    search = GridSearchCV(pipe, grid, cv=2).fit(images[:100], digits[1][:100])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_an_error_leaves_the_estimator_as_it_was(images):
    encoder = quick().fit(images[:100])
    before = copy.deepcopy(state(encoder))
    encoder.set_params(queue_size=500)
    with pytest.raises(ValueError, match="queue_size=500"):
        encoder.fit(images[:200])
    assert encoder.queue_size_ == 25
    assert all(torch.equal(tensor, before[name]) for name, tensor in state(encoder).items())


def test_a_frozen_backbone_stays(images):
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(64, 8))
    backbone[1].requires_grad_(False)
    encoder = quick(backbone=backbone).fit(images[:100])
    for part in (encoder.net_.module_.encoder, encoder.net_.module_.key_encoder):
        assert torch.equal(part.backbone[1].weight, backbone[1].weight)
