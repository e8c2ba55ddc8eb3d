import math
import pickle
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.special import expit, logsumexp
from sklearn.neural_network import BernoulliRBM
from skorch.callbacks import Callback, Freezer

from skrep import RBMEncoder, load, save
from skrep.backbones import BoltzmannTraining
from tests.energy.exact import all_bits, chi_square_p, free_energy, log_partition, numbers, randomise
from tests.engine.test_training import Ctrl

PATTERNS = np.array(
    [[1, 1, 1, 0, 0, 0, 1, 0], [0, 0, 1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 1, 1, 0, 1], [0, 1, 0, 1, 0, 1, 1, 1]]
)
TURNED = 0.05  # share of the bits of a pattern that are turned over
STATES = all_bits(8)


def log_probability(patterns=PATTERNS):
    """Of each of all states, where a row is one of the patterns with some bits turned over."""
    wrong = np.abs(STATES[:, None] - patterns).sum(2)  # (256, n_patterns)
    of_each = wrong * math.log(TURNED) + (8 - wrong) * math.log(1 - TURNED)
    return logsumexp(of_each, axis=1) - math.log(len(patterns))


def rows_of(log_p, n, seed=0):
    return STATES[np.random.default_rng(seed).choice(len(STATES), n, p=np.exp(log_p))]


def divergence(machine, log_p):
    """Kullback-Leibler, of what was learned from what the rows come from, in nats; exact."""
    W, b, c, _ = numbers(machine.net_.module_.average)
    scores = STATES @ b + np.logaddexp(0, c + STATES @ W).sum(1)
    return np.exp(log_p) @ (log_p - scores + logsumexp(scores))


def real_rows(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal([100.0, -3.0], [5.0, 0.2], size=(n, 2)) @ np.array([[1, 0.01], [0, 1]])


@pytest.fixture
def bits():
    return (np.random.default_rng(0).random((60, 4)) < [0.2, 0.5, 0.5, 0.9]).astype(float)


def machine_of(estimator):
    return estimator.net_.module_.average


def random_rbm(X, n_components=3, seed=0, size=1.0):
    """A fitted estimator with weights at random."""
    estimator = RBMEncoder(n_components, max_epochs=1, random_state=0).fit(X)
    randomise(machine_of(estimator), size, seed)
    return estimator


def state(estimator):
    return estimator.net_.module_.state_dict()


def assert_same_state(one, two):
    one, two = state(one), state(two)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, two[name]), name


# --- the density -----------------------------------------------------------------------------------------------------


def test_free_energy_of_bits(bits):
    machine = random_rbm(bits)
    X = np.random.default_rng(1).random((700, 4))  # more than a chunk
    ours = machine.free_energy(X)
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, free_energy(machine_of(machine), X.astype(np.float32)), rtol=1e-9)
    hidden = X.astype(np.float32) @ machine.components_.T.astype(float) + machine.intercept_hidden_
    formula = -X @ machine.intercept_visible_.astype(float) - np.log(1 + np.exp(hidden)).sum(axis=1)
    np.testing.assert_allclose(ours, formula, rtol=1e-6)
    np.testing.assert_array_equal(machine.score_samples(X), -ours)
    np.testing.assert_array_equal(machine.free_energy(X), ours)
    theirs = BernoulliRBM(3)
    theirs.components_, theirs.intercept_visible_, theirs.intercept_hidden_ = (
        a.astype(float) for a in (machine.components_, machine.intercept_visible_, machine.intercept_hidden_)
    )
    np.testing.assert_allclose(ours, theirs._free_energy(X), rtol=1e-6)
    np.testing.assert_allclose(machine.transform(X), theirs.transform(X), atol=1e-6)


def standardised(estimator, X):
    mean, scale = (t.numpy().astype(float) for t in state_of_units(estimator))
    return (X - mean) / scale


def state_of_units(estimator):
    units = estimator.net_.module_.encoder.scale
    return units.mean, units.scale


def test_real_columns_and_what_the_attributes_mean():
    X = real_rows()
    machine = random_rbm(X)
    assert machine.visible_ == "gaussian"
    X = X.astype(np.float32).astype(float)
    Z = standardised(machine, X)
    np.testing.assert_allclose(machine.free_energy(X), free_energy(machine_of(machine), Z), rtol=1e-6, atol=1e-6)
    W, b, c, noise = numbers(machine_of(machine))
    np.testing.assert_allclose(machine.transform(X), expit(c + (Z / noise) @ W), atol=2e-5)
    components, hidden = machine.components_.astype(float), machine.intercept_hidden_.astype(float)
    np.testing.assert_allclose(machine.transform(X), expit(X @ components.T + hidden), atol=2e-4)
    H = np.random.default_rng(0).random((5, 3))
    mean, scale = (t.numpy().astype(float) for t in state_of_units(machine))
    np.testing.assert_allclose(mean, X.mean(0), rtol=1e-5)
    np.testing.assert_allclose(scale, X.std(0), rtol=1e-4)
    np.testing.assert_allclose(machine.inverse_transform(H), mean + scale * noise * (b + H @ W.T), rtol=1e-5)
    np.testing.assert_allclose(machine.inverse_transform(np.zeros((1, 3)))[0], machine.intercept_visible_, rtol=1e-6)
    assert (machine.components_.dtype, machine.components_.shape) == (np.float32, (3, 2))


def test_means_of_bits(bits):
    machine = random_rbm(bits)
    assert machine.visible_ == "bernoulli"
    H = np.random.default_rng(0).random((5, 3))
    expected = expit(H @ machine.components_ + machine.intercept_visible_)
    np.testing.assert_allclose(machine.inverse_transform(H), expected, atol=1e-6)


def test_probabilities_of_all_rows_sum_to_one(bits):
    machine = random_rbm(bits)
    estimate = machine.log_likelihood(all_bits(4), n_chains=200, n_temperatures=300)
    assert estimate.value.shape == (16,)
    assert abs(logsumexp(estimate.value)) < 4 * estimate.standard_error < 0.2
    exact = -free_energy(machine_of(machine), all_bits(4)) - log_partition(machine_of(machine))
    assert np.abs(estimate.value - exact).max() < 4 * estimate.standard_error
    assert machine.log_partition(n_chains=200, n_temperatures=300).standard_error == estimate.standard_error
    np.testing.assert_allclose(machine.score(bits), machine.log_likelihood(bits, n_temperatures=1000).value.mean())


@pytest.mark.parametrize("n_columns", [1, 2])
def test_the_density_of_real_rows_integrates_to_one_in_the_units_of_the_data(n_columns):
    X = real_rows()[:, :n_columns]
    machine = random_rbm(X, size=0.7)
    axes = [np.linspace(-30, 30, 401) * s + m for m, s in zip(X.mean(0), X.std(0), strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, n_columns)  # (401**n_columns, n_columns)
    area = math.prod(axis[1] - axis[0] for axis in axes)
    estimate = machine.log_likelihood(grid, n_chains=400, n_temperatures=300)
    assert abs(math.log(area) + logsumexp(estimate.value)) < 4 * estimate.standard_error < 0.2


def test_error_shrinks_with_temperatures(bits):
    machine = random_rbm(bits, size=1.5)
    few, many = (machine.log_partition(n_temperatures=n).standard_error for n in (10, 300))
    assert many < few / 2
    assert machine.log_partition(n_temperatures=10) == machine.log_partition(n_temperatures=10)
    assert machine.log_partition(n_temperatures=10) != machine.log_partition(n_temperatures=10, random_state=1)


def test_pseudo_likelihood_turns_over_each_column(bits):
    machine = random_rbm(bits)
    naive = np.zeros(len(bits))
    for i in range(4):
        turned = bits.copy()
        turned[:, i] = 1 - turned[:, i]
        kept, other = np.exp(machine.score_samples(bits)), np.exp(machine.score_samples(turned))
        naive += np.log(kept / (kept + other))
    np.testing.assert_allclose(machine.pseudo_likelihood(bits), naive, rtol=1e-9)


def fit_and_held_out(machine, X):
    """The rows that a fit does not train on."""
    sources = []
    machine.training_source = lambda source: (sources.append(source), source)[1]
    machine.fit(X)
    del machine.training_source
    trained = sources[0].take(torch.arange(len(sources[0])), torch.device("cpu")).numpy()
    left = Counter(map(tuple, X.astype(np.float32))) - Counter(map(tuple, trained))
    assert left.total() == len(X) - len(trained) > 0
    return np.array(list(left.elements()), np.float32)


def test_validation_loss_estimates_the_pseudo_likelihood():
    X = rows_of(log_probability(), 2000)
    machine = RBMEncoder(8, max_epochs=60, averaging=0, validation_fraction=0.5, lr=0.3, random_state=0)
    rows = fit_and_held_out(machine, X)
    energies = machine.free_energy(rows)
    losses = []  # of each row and column
    for i in range(8):
        turned = rows.copy()
        turned[:, i] = 1 - turned[:, i]
        losses.append(8 * np.logaddexp(0, energies - machine.free_energy(turned)))
    exact = -machine.pseudo_likelihood(rows).mean()
    np.testing.assert_allclose(np.mean(losses), exact)
    told = machine.history_[-1]["valid_loss"]
    assert abs(told - exact) < 4 * np.std(losses) / np.sqrt(len(rows))
    assert exact < 0.8 * machine.history_[0]["valid_loss"]


# --- chains ----------------------------------------------------------------------------------------------------------


def test_gibbs_and_sample_draw_from_the_machine(bits):
    machine = random_rbm(bits[:, :3], 2)
    with torch.no_grad():  # all bits on or all off, between which chains go slowly
        machine_of(machine).weight.fill_(3.0)
        machine_of(machine).visible_bias.fill_(-3.0)
        machine_of(machine).hidden_bias.copy_(torch.tensor([-4.5, -4.0]))
    probability = np.exp(-free_energy(machine_of(machine), all_bits(3)) - log_partition(machine_of(machine)))
    far = np.ones((10_000, 3))
    for rows in (
        machine.gibbs(far, n_steps=100, random_state=0),
        machine.sample(10_000, n_steps=200, random_state=1),
    ):
        assert (rows.dtype, rows.shape) == (np.float32, (10_000, 3))
        assert set(np.unique(rows)) == {0, 1}
        assert chi_square_p(rows, probability) > 1e-3
    assert chi_square_p(machine.gibbs(rows, random_state=2), probability) > 1e-3  # one step stays in it
    assert chi_square_p(machine.gibbs(far, random_state=2), probability) < 1e-3  # and from afar does not reach it


def test_real_samples_are_in_the_units_of_the_data():
    X = real_rows()
    machine = random_rbm(X, 2, size=0.6)
    W, b, c, noise = numbers(machine_of(machine))
    mean, scale = (t.numpy().astype(float) for t in state_of_units(machine))
    H = all_bits(2)
    given = b + H @ W.T
    share = np.exp(H @ c + 0.5 * np.square(given).sum(1))
    share /= share.sum()
    expected = mean + scale * noise * (share @ given)
    spread = scale * noise * np.sqrt(1 + share @ np.square(given) - np.square(share @ given))
    for rows in (
        machine.gibbs(X[[0] * 4000], n_steps=40, random_state=0),
        machine.sample(4000, n_steps=300, random_state=0),
    ):
        assert (np.abs(rows.mean(0) - expected) < 4 * spread / np.sqrt(4000)).all()
        np.testing.assert_allclose(rows.std(0), spread, rtol=0.06)
    means = machine.sample(500, n_steps=300, means=True, random_state=0)
    possible = mean + scale * noise * given
    assert np.abs((means[:, None] - possible) / scale).max(2).min(1).max() < 1e-4


def test_what_decides_the_draws(bits):
    machine = random_rbm(bits)
    for draw in (
        lambda seed: machine.sample(50, n_steps=5, random_state=seed),
        lambda seed: machine.sample(50, n_steps=5, means=True, random_state=seed),
        lambda seed: machine.gibbs(bits, random_state=seed),
    ):
        np.testing.assert_array_equal(draw(0), draw(0))
        assert not np.array_equal(draw(0), draw(1))
        assert not np.array_equal(draw(None), draw(None))
        generator = np.random.RandomState(0)
        assert not np.array_equal(draw(generator), draw(generator))
    means = machine.sample(50, n_steps=5, means=True, random_state=0)
    assert ((means > 0) & (means < 1)).all()


# --- learning --------------------------------------------------------------------------------------------------------


class Pairs(Callback):
    """Keeps what each batch showed the machine, and where training began."""

    def on_train_begin(self, net, **kwargs):
        self.began = {name: value.clone() for name, value in net.module_.state_dict().items()}
        self.pairs, self.chains = [], []

    def on_batch_begin(self, net, batch, training, **kwargs):
        if training:
            self.pairs.append([v.double().numpy().copy() for v in batch[0]])

    def on_batch_end(self, net, training, **kwargs):
        if training:
            self.chains.append(net.module_.chain.double().numpy().copy())


@pytest.mark.parametrize("centring", [True, False])
@pytest.mark.parametrize("persistent", [True, False])
def test_learning_against_a_loop_by_hand(centring, persistent):
    X = rows_of(log_probability(), 300)
    lr, momentum, decay, target, cost, averaging = 0.1, 0.6, 0.01, 0.1, 0.3, 0.9
    watch = Pairs()
    machine = RBMEncoder(
        5, max_epochs=4, batch_size=50, lr=lr, lr_schedule="constant", momentum=momentum, weight_decay=decay,
        sparsity_target=target, sparsity_cost=cost, averaging=averaging, centring=centring, persistent=persistent,
        n_gibbs=2, callbacks=[watch], random_state=0,
    ).fit(X)  # fmt: skip
    W, b, c = (watch.began[f"machine.{n}"].double().numpy() for n in ("weight", "visible_bias", "hidden_bias"))
    np.testing.assert_allclose(expit(b), (X.sum(0) + 1) / (len(X) + 2), rtol=1e-5)  # as if seen once on and once off
    np.testing.assert_array_equal(c, 0)
    assert 0.008 < W.std() < 0.012
    mu, lam = expit(b), np.full(5, 0.5)
    learned, speed, history = [W, b, c], [0, 0, 0], []
    assert len(watch.pairs) == 4 * 6
    for (data, fantasy), chain in zip(watch.pairs, watch.chains, strict=True):
        W, b, c = learned
        on, dream = expit(c + data @ W), expit(c + fantasy @ W)
        n, m = len(data), len(fantasy)
        pull = 2 * cost * (on.mean(0) - target)
        slope = on * (1 - on) * pull
        g_W = fantasy.T @ dream / m - data.T @ on / n + data.T @ slope / n
        g_b = fantasy.mean(0) - data.mean(0)
        g_c = dream.mean(0) - on.mean(0) + slope.mean(0)
        if centring:
            g_W = g_W - np.outer(g_b, lam) - np.outer(mu, g_c)
            g_b, g_c = g_b - g_W @ lam, g_c - mu @ g_W
        speed = [momentum * s + g for s, g in zip(speed, (g_W + decay * W, g_b, g_c), strict=True)]
        learned = [p - lr * s for p, s in zip(learned, speed, strict=True)]
        lam = 0.99 * lam + 0.01 * on.mean(0)
        history.append(learned)
        if persistent:
            np.testing.assert_allclose(chain, dream, atol=1e-5)
    weights = averaging ** np.arange(len(history))[::-1]
    averages = [sum(w * then[k] for w, then in zip(weights, history, strict=True)) / weights.sum() for k in range(3)]
    module = machine.net_.module_
    for expected, part in ((learned, module.machine), (averages, module.average)):
        for theirs, ours in zip(expected, part.learned(), strict=True):
            np.testing.assert_allclose(ours.detach(), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("persistent", "n_gibbs"), [(True, 1), (True, 3), (False, 1), (False, 4)])
def test_where_chains_start_and_how_far_they_go(persistent, n_gibbs, monkeypatch):
    X = rows_of(log_probability(), 100)
    calls = []
    dream = BoltzmannTraining.sample_model

    def watched(training, hidden, n, generator):
        calls.append((hidden.clone(), training.chain.clone(), n))
        return dream(training, hidden, n, generator)

    monkeypatch.setattr(BoltzmannTraining, "sample_model", watched)
    watch = Pairs()
    options = {"n_chains": 7} if persistent else {}
    RBMEncoder(
        3,
        max_epochs=2,
        batch_size=25,
        persistent=persistent,
        n_gibbs=n_gibbs,
        callbacks=[watch],
        random_state=0,
        **options,
    ).fit(X)
    assert len(calls) == 8
    for (start, chain, n), (data, fantasy) in zip(calls, watch.pairs, strict=True):
        assert n == n_gibbs
        assert torch.equal(start, chain) if persistent else len(chain) == 0
        assert len(fantasy) == (7 if persistent else len(data))
    if persistent:
        np.testing.assert_allclose(calls[-1][0], watch.chains[-2])


def test_values_between_bits_are_drawn_anew_in_every_batch():
    P = np.random.default_rng(0).random((40, 5))
    watch = Pairs()
    RBMEncoder(3, max_epochs=300, batch_size=40, callbacks=[watch], random_state=0).fit(P)
    data = np.stack([pair[0] for pair in watch.pairs])
    assert set(np.unique(data)) == {0, 1}
    mean = data.mean(1)  # (300, 5), of each batch
    np.testing.assert_allclose(mean.mean(0), P.mean(0), atol=0.02)
    variance = (P * (1 - P)).mean(0) / 40
    np.testing.assert_allclose(mean.var(0), variance, rtol=0.35)


def test_a_small_distribution_is_learned_and_better_with_persistent_chains():
    log_p = log_probability()
    X = rows_of(log_p, 2000)
    options = {"max_epochs": 60, "lr": 0.3, "random_state": 0}
    found = {
        name: divergence(RBMEncoder(16, **options | more).fit(X), log_p)
        for name, more in {
            "persistent": {},
            "two steps": {"n_gibbs": 2},
            "one step from data": {"persistent": False},
            "ten steps from data": {"persistent": False, "n_gibbs": 10},
        }.items()
    }
    independent = np.exp(log_p) @ log_p - sum(p * np.log(p) + (1 - p) * np.log(1 - p) for p in np.exp(log_p) @ STATES)
    assert independent > 2
    assert found["persistent"] < 0.1
    assert found["two steps"] < 0.1
    assert found["one step from data"] > 1.5 * found["persistent"]
    assert found["ten steps from data"] < found["one step from data"]


def test_likelihood_that_is_told_is_near_the_entropy():
    log_p = log_probability()
    machine = RBMEncoder(16, max_epochs=60, lr=0.3, random_state=0).fit(rows_of(log_p, 2000))
    others = rows_of(log_p, 5000, seed=1)
    estimate = machine.log_likelihood(others, n_temperatures=1000)
    bound = np.exp(log_p) @ log_p
    exact = bound - divergence(machine, log_p)
    spread = np.std(estimate.value) / np.sqrt(5000)
    assert abs(estimate.value.mean() - exact) < 4 * (spread + estimate.standard_error)
    assert estimate.standard_error < 0.1
    assert bound - 0.15 < estimate.value.mean() < bound + 0.05


@pytest.mark.exhaustive
@pytest.mark.parametrize("centring", [True, False])
def test_turned_over_bits_are_learned_as_well_with_centring(centring):
    log_p = log_probability(np.maximum(PATTERNS, [1, 1, 1, 1, 0, 0, 0, 0]))  # columns that are mostly on
    X = rows_of(log_p, 1000)
    order = np.argsort((1 - STATES) @ (2 ** np.arange(7, -1, -1)))
    options = {"max_epochs": 60, "lr": 0.3, "weight_decay": 0, "centring": centring}
    one, other = (
        np.mean([divergence(RBMEncoder(8, random_state=s, **options).fit(rows), p) for s in range(2)])
        for rows, p in ((X, log_p), (1 - X, log_p[order]))
    )
    assert (max(one, other) < 1.15 * min(one, other)) == centring


def test_sparsity_target_moves_the_mean_activity():
    X = rows_of(log_probability(), 1000)
    activity = {
        (target, cost): RBMEncoder(
            12, max_epochs=30, lr=0.1, sparsity_target=target, sparsity_cost=cost, random_state=0
        ).fit_transform(X).mean(0)
        for target, cost in ((None, 1.0), (0.1, 0.1), (0.1, 5.0), (0.8, 5.0))
    }  # fmt: skip
    distance = {key: np.abs(mean - (key[0] or 0.1)).mean() for key, mean in activity.items()}
    assert distance[0.1, 5.0] < 0.05
    assert distance[0.8, 5.0] < 0.05
    assert distance[0.1, 5.0] < distance[0.1, 0.1] < distance[None, 1.0]


def two_clouds(n=2000, noise=(0.5, 2.0), seed=0):
    """Two columns that are correlated because there are two clouds; noise within them is independent."""
    rng = np.random.default_rng(seed)
    side = rng.integers(0, 2, size=(n, 1)) * 2 - 1
    return np.array([10.0, -5.0]) + side * [1.0, 4.0] + rng.normal(size=(n, 2)) * noise


def clouds_log_density(X, noise=(0.5, 2.0)):
    of_each = []
    for side in (-1, 1):
        z = (X - [10.0, -5.0] - side * np.array([1.0, 4.0])) / noise
        of_each.append(-0.5 * np.square(z).sum(1) - np.log(2 * np.pi * np.prod(noise)))
    return logsumexp(of_each, axis=0) - np.log(2)


@pytest.mark.exhaustive
def test_noise_of_real_columns_is_learned():
    X, others = two_clouds(), two_clouds(seed=1)
    machine = RBMEncoder(1, max_epochs=100, lr=0.1, random_state=0).fit(X)
    *_, noise = numbers(machine_of(machine))
    _, scale = state_of_units(machine)
    np.testing.assert_allclose(noise * scale.numpy(), [0.5, 2.0], rtol=0.1)
    likelihood = machine.log_likelihood(others, n_temperatures=1000).value.mean()
    best = clouds_log_density(others).mean()
    independent = sum(-0.5 * np.log(2 * np.pi * np.e * x.var()) for x in others.T)
    assert best - 0.05 < likelihood < best + 0.02
    assert likelihood > independent + 0.3


@pytest.mark.exhaustive
def test_more_hidden_bits_than_clouds_do_no_harm():
    X, others = two_clouds(), two_clouds(seed=1)
    machine = RBMEncoder(16, max_epochs=100, lr=0.1, random_state=0).fit(X)
    likelihood = machine.log_likelihood(others, n_temperatures=1000).value.mean()
    assert clouds_log_density(others).mean() - 0.15 < likelihood


def test_validation_loss_of_real_columns_falls_and_tells_rows_from_noise():
    X = two_clouds()
    machine = RBMEncoder(2, max_epochs=40, averaging=0, validation_fraction=0.3, random_state=0)
    rows = fit_and_held_out(machine, X).astype(float)
    losses = [row["valid_loss"] for row in machine.history_]
    assert losses[-1] < losses[0] - 0.1
    _, scale = state_of_units(machine)
    rng, draws = np.random.default_rng(0), []
    for _ in range(50):
        other, column = rows.copy(), rng.integers(2, size=len(rows))
        other[np.arange(len(rows)), column] += rng.normal(size=len(rows)) * scale.numpy()[column]
        draws.append(2 * np.logaddexp(0, machine.free_energy(rows) - machine.free_energy(other)))
    assert abs(losses[-1] - np.mean(draws)) < 4 * np.std(draws) / np.sqrt(len(rows))


def test_units_of_real_columns_do_not_matter():
    X = two_clouds(300)
    one, two = (RBMEncoder(3, max_epochs=5, random_state=0).fit(rows) for rows in (X, 64 * X + 4096))
    np.testing.assert_allclose(one.transform(X), two.transform(64 * X + 4096), atol=1e-3)
    np.testing.assert_allclose(one.components_, 64 * two.components_, rtol=1e-2, atol=1e-3)
    options = {"n_temperatures": 100}
    shift = 2 * math.log(64)
    ours, theirs = one.log_likelihood(X, **options), two.log_likelihood(64 * X + 4096, **options)
    np.testing.assert_allclose(ours.value - shift, theirs.value, atol=0.02)


# --- training that stops and goes on ---------------------------------------------------------------------------------


class Epochs(Callback):
    def on_train_begin(self, net, **kwargs):
        self.states, self.first = [], net.module_.chain.clone()

    def on_epoch_end(self, net, **kwargs):
        self.states.append({name: value.clone() for name, value in net.module_.state_dict().items()})


def test_the_average_is_the_last_machine_without_averaging():
    machine = RBMEncoder(4, max_epochs=3, averaging=0, random_state=0).fit(rows_of(log_probability(), 200))
    module = machine.net_.module_
    assert all(map(torch.equal, module.average.learned(), module.machine.learned()))


@pytest.mark.parametrize("at", [(0, 1), (1, 2), (2, 4)])
@pytest.mark.parametrize(
    "options",
    [{}, {"validation_fraction": 0.2}, {"persistent": False}, {"visible": "gaussian", "optimizer": "adam"}],
    ids=str,
)
def test_interrupted_and_resumed_is_the_same_to_the_bit(at, options, tmp_path):
    X = np.random.default_rng(0).random((160, 6))
    options = {"max_epochs": 4, "batch_size": 32, "random_state": 0} | options
    whole = RBMEncoder(5, **options).fit(X)
    with pytest.raises(KeyboardInterrupt):
        RBMEncoder(5, **options, checkpoint=tmp_path, callbacks=[Ctrl(at, "raise")]).fit(X)
    resumed = RBMEncoder(5, **options, checkpoint=tmp_path).fit(X)
    assert resumed.resumed_from_ == at
    assert_same_state(resumed, whole)
    assert resumed.history_ == whole.history_


@pytest.mark.parametrize("options", [{}, {"visible": "gaussian"}], ids=str)
def test_chains_survive_files_and_pickles(options, tmp_path):
    X = np.random.default_rng(0).random((100, 6))
    machine = RBMEncoder(5, max_epochs=2, momentum=0, random_state=0, **options).fit(X)
    assert float((state(machine)["chain"] - 0.5).abs().min()) > 0
    save(machine, tmp_path / "rbm.skrep")
    copies = [load(tmp_path / "rbm.skrep"), pickle.loads(pickle.dumps(machine))]
    for copy in copies:
        assert_same_state(copy, machine)
        np.testing.assert_array_equal(
            copy.sample(5, n_steps=5, random_state=0), machine.sample(5, n_steps=5, random_state=0)
        )
    machine.partial_fit(X)
    for copy in copies:
        copy.partial_fit(X)
        assert_same_state(copy, machine)
        np.testing.assert_array_equal(copy.free_energy(X), machine.free_energy(X))
        assert copy.visible_ == machine.visible_


def test_batches_of_other_sizes():
    log_p = log_probability()
    machine = RBMEncoder(12, n_chains=40, lr=0.3, random_state=0)
    X = rows_of(log_p, 1500)
    for _ in range(30):
        for rows in np.split(X, [2, 300, 307, 1000]):
            machine.partial_fit(rows)
            assert state(machine)["chain"].shape == (40, 12)
    assert divergence(machine, log_p) < 0.2


def test_warm_start_goes_on_with_chains_and_average():
    X, watch = rows_of(log_probability(), 200), Epochs()
    machine = RBMEncoder(4, max_epochs=3, warm_start=True, callbacks=[watch], random_state=0).fit(X)
    before = {name: value.clone() for name, value in state(machine).items()}
    assert float(before["newest"]) < 0.2
    machine.set_params(max_epochs=5).fit(X)
    assert torch.equal(watch.first, before["chain"])
    assert not torch.equal(watch.states[0]["chain"], before["chain"])
    assert float(state(machine)["newest"]) < float(before["newest"])
    with pytest.raises(ValueError, match=r"RBMEncoder\(warm_start=True\)"):
        machine.fit(4 * X + np.random.default_rng(0).normal(size=X.shape))  # real numbers now
    assert machine.visible_ == "bernoulli"


def test_early_stopping_keeps_the_best_epoch():
    watch = Epochs()
    X = np.random.default_rng(0).random((60, 8)).round()
    machine = RBMEncoder(40, max_epochs=100, lr=0.3, averaging=0.5, early_stopping=3, callbacks=[watch], random_state=0)
    machine.fit(X)
    losses = [row["valid_loss"] for row in machine.history_]
    best = int(np.argmin(losses))
    assert len(losses) == best + 4 < 100
    for name, value in state(machine).items():
        assert torch.equal(value, watch.states[best][name])


def test_defaults():
    X = rows_of(log_probability(), 3000)
    machine = RBMEncoder(max_epochs=1, random_state=0).fit(X)
    assert machine.n_features_out_ == 16
    assert state(machine)["chain"].shape == (64, 16)
    group = RBMEncoder(2, max_epochs=1).fit(X).partial_fit(X).net_.optimizer_.param_groups[0]
    assert (group["momentum"], group["lr"], group["weight_decay"]) == (0.5, 0.05, 1e-5)
    assert RBMEncoder(2, max_epochs=1, batch_size=17).fit(X).net_.module_.chain.shape == (17, 2)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32, np.float64])
def test_bits_of_any_type(dtype):
    X = rows_of(log_probability(), 100)
    expected, machine = (RBMEncoder(3, max_epochs=2, random_state=0).fit(rows) for rows in (X, X.astype(dtype)))
    assert machine.visible_ == "bernoulli"
    assert_same_state(machine, expected)
    np.testing.assert_array_equal(machine.free_energy(X.astype(dtype)), expected.free_energy(X))


@pytest.mark.parametrize(
    ("visible", "low", "high", "expected"),
    [
        ("auto", 0, 1, "bernoulli"),
        ("auto", 0.2, 0.4, "bernoulli"),
        ("auto", -0.1, 1, "gaussian"),
        ("auto", 0, 1.1, "gaussian"),
        ("gaussian", 0, 1, "gaussian"),
        ("bernoulli", 0, 1, "bernoulli"),
    ],
)
def test_what_the_columns_are(visible, low, high, expected):
    X = np.linspace(low, high, 60).reshape(20, 3)
    assert RBMEncoder(2, visible=visible, max_epochs=1).fit(X).visible_ == expected


# --- bad input -------------------------------------------------------------------------------------------------------

REAL = np.random.default_rng(0).normal(size=(40, 4)) * 3
FLAT = REAL * [1, 0, 1, 0] + [0, 7, 0, 7]
BAD = {
    "no bits": ({"visible": "bernoulli"}, REAL, r"\[0, 1\].*X.* -\d.*MinMaxScaler.*gaussian"),
    "constant": ({"visible": "gaussian"}, FLAT, r"\b2\b.*\b4\b.*constant.*\b1\b.*VarianceThreshold"),
    "constant, auto": ({}, FLAT, r"\b2\b.*\b4\b.*constant.*\b1\b.*VarianceThreshold.*MinMaxScaler"),
    "one row": ({}, REAL[:1], "minimum of 2"),
    "no steps": ({"n_gibbs": 0}, REAL, r"n_gibbs=0\b.*\b1\b"),
    "part of a step": ({"n_gibbs": 1.5}, REAL, r"n_gibbs=1\.5"),
    "no chains": ({"n_chains": 0}, REAL, "n_chains=0"),
    "chains without end": ({"n_chains": 10**12}, REAL, r"n_chains=1000000000000\).* GiB.*n_chains=None"),
    "chains that do not persist": ({"n_chains": 5, "persistent": False}, REAL, "n_chains=5, persistent=False"),
    "unknown units": ({"visible": "softmax"}, REAL, "visible='softmax'"),
    "momentum": ({"momentum": 1.0}, REAL, r"momentum=1\.0"),
    "averaging": ({"averaging": 1.0}, REAL, r"averaging=1\.0"),
    "sparsity": ({"sparsity_target": 0.0}, REAL, r"sparsity_target=0\.0"),
    "cost": ({"sparsity_cost": -1.0}, REAL, r"sparsity_cost=-1\.0"),
    "momentum twice": ({"net_params": {"optimizer__momentum": 0.3}}, REAL, r"optimizer__momentum.*\(momentum="),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters_and_data(case, bits):
    options, X, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        RBMEncoder(2, max_epochs=1, **options).fit(X)
    fitted = RBMEncoder(2, max_epochs=2, random_state=0).fit(bits)
    before = pickle.loads(pickle.dumps(fitted))
    with pytest.raises(ValueError, match=message):
        fitted.set_params(**options).fit(X)
    assert_same_state(fitted, before)
    np.testing.assert_array_equal(fitted.transform(bits), before.transform(bits))
    assert fitted.visible_ == "bernoulli"


CALLS = {
    "no rounds": (lambda m, X: m.gibbs(X, n_steps=0), r"n_steps=0\b.*\b1\b"),
    "part of a round": (lambda m, X: m.gibbs(X, n_steps=1.5), r"n_steps=1\.5"),
    "no temperatures": (lambda m, X: m.sample(2, n_steps=0), "n_steps=0"),
    "no samples": (lambda m, X: m.sample(0), "n_samples=0"),
    "one chain has no error": (lambda m, X: m.log_partition(n_chains=1), r"n_chains=1\b.*\b2\b"),
    "no temperature": (lambda m, X: m.log_likelihood(X, n_temperatures=0), r"n_temperatures=0\b.*\b1\b"),
    "text": (lambda m, X: m.log_partition(n_chains="many"), "n_chains='many'"),
    "width": (lambda m, X: m.inverse_transform(np.zeros((2, 7))), r"X .*\b7\b.*RBMEncoder.*\b3\b"),
    "missing": (lambda m, X: m.inverse_transform(np.full((2, 3), np.nan)), "NaN"),
    "columns": (lambda m, X: m.free_energy(X[:, :2]), "X has 2 features, but RBMEncoder is expecting 4"),
    "columns of a chain": (lambda m, X: m.gibbs(X[:, :2]), "X has 2 features, but RBMEncoder is expecting 4"),
    "random state": (lambda m, X: m.sample(random_state="x"), "seed|random_state"),
}


@pytest.mark.parametrize("case", CALLS)
def test_bad_calls(case, bits):
    call, message = CALLS[case]
    with pytest.raises(ValueError, match=message):
        call(random_rbm(bits), bits)


def test_pseudo_likelihood_is_of_bits():
    machine = RBMEncoder(2, max_epochs=1).fit(REAL)
    with pytest.raises(ValueError, match=r"pseudo_likelihood.*Gaussian.*log_likelihood"):
        machine.pseudo_likelihood(REAL)


def test_an_interrupted_fit_leaves_the_machine_as_it_was(bits):
    fitted = RBMEncoder(2, max_epochs=3, random_state=0).fit(bits)
    before = pickle.loads(pickle.dumps(fitted))
    for warm in (False, True):
        fitted.set_params(warm_start=warm, callbacks=[Ctrl((1, 1), "raise")])
        with pytest.raises(KeyboardInterrupt):
            fitted.fit(bits)
        assert_same_state(fitted, before)
        assert fitted.history_ == before.history_
        assert fitted.visible_ == "bernoulli"


# --- found wanting ---------------------------------------------------------------------------------------------------


def test_views_of_a_batch(bits):
    for X in (bits, real_rows()):
        (view,) = RBMEncoder(2, max_epochs=1, random_state=0).fit(X).sample_views(X[:5])
        np.testing.assert_allclose(view, X[:5], rtol=1e-5)
    P = np.full((2000, 4), 0.3)
    (view,) = RBMEncoder(2, max_epochs=1, random_state=0).fit(P).sample_views(P)
    assert set(np.unique(view)) == {0, 1}
    assert abs(view.mean() - 0.3) < 0.03


def test_more_rows_of_bits_that_are_none(bits):
    machine = RBMEncoder(2, visible="bernoulli", max_epochs=1, random_state=0).fit(bits)
    before = pickle.loads(pickle.dumps(machine))
    with pytest.raises(ValueError, match=r"Bernoulli.*\[0, 1\]"):
        machine.partial_fit(100 * bits - 3)
    assert_same_state(machine, before)


@pytest.mark.parametrize("seed", range(4))
def test_held_out_rows_of_bits_that_are_none(seed, bits):
    bits = bits.copy()
    bits[7, 3] = 255
    with pytest.raises(ValueError, match=r"\[0, 1\].*\b255\b"):
        RBMEncoder(2, visible="bernoulli", max_epochs=1, validation_fraction=0.5, random_state=seed).fit(bits)
    assert RBMEncoder(2, max_epochs=1, validation_fraction=0.5, random_state=seed).fit(bits).visible_ == "gaussian"


@pytest.mark.parametrize("change", [{"batch_size": 50}, {"persistent": False}, {"n_chains": 9}], ids=str)
def test_a_machine_is_saved_whatever_the_next_fit_shall_be(change, bits, tmp_path):
    machine = RBMEncoder(2, max_epochs=1, random_state=0).fit(bits).set_params(**change)
    save(machine, tmp_path / "rbm.skrep")
    assert_same_state(load(tmp_path / "rbm.skrep"), machine)


@pytest.mark.parametrize("n", [500, pytest.param(10_000, marks=pytest.mark.exhaustive)])
def test_one_value_far_off_does_not_undo_the_rest(n):
    X = np.random.default_rng(0).normal(size=(n, 4))
    X[3, 0] = 1e4
    machine = RBMEncoder(8, max_epochs=30, random_state=1).fit(X)
    independent = sum(-0.5 * np.log(2 * np.pi * np.e * x.var()) for x in X.T)
    assert np.median(machine.log_likelihood(X, n_temperatures=300).value) > independent - 1


def test_a_parameter_that_a_callback_keeps_from_learning(bits):
    machine = RBMEncoder(2, max_epochs=2, callbacks=[Freezer("machine.visible_bias")], random_state=0).fit(bits)
    bias = (bits.sum(0) + 1) / (len(bits) + 2)
    np.testing.assert_allclose(expit(machine.intercept_visible_), bias, rtol=1e-5)
