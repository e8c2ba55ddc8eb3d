import itertools
import pickle

import numpy as np
import pytest
import torch
from scipy.special import expit, logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skrep import DeepBoltzmannEncoder, load, save
from tests.backbones.test_boltzmann import naive_mean_field
from tests.energy import exact
from tests.energy.exact import all_bits, chi_square_p, numbers, randomise
from tests.energy.test_rbm import (
    assert_same_state,
    log_probability,
    machine_of,
    real_rows,
    rows_of,
    standardised,
    state,
)
from tests.engine.test_training import Ctrl

N_ABOVE, N_HIDDEN = 2, 3


@pytest.fixture
def bits():
    return (np.random.default_rng(0).random((60, 3)) < [0.2, 0.5, 0.9]).astype(float)


def random_dbm(X, seed=0, size=1.0, **options):
    """A fitted estimator with weights at random."""
    estimator = DeepBoltzmannEncoder(N_ABOVE, n_hidden=N_HIDDEN, max_epochs=1, random_state=0, **options).fit(X)
    randomise(machine_of(estimator), size, seed)
    return estimator


def log_unnormalised(estimator, Z):
    """Log of the sum over both hidden layers of exp(-E(v, h1, h2)), E being that of two layers."""
    machine = machine_of(estimator)
    W, b, c, scale = numbers(machine)
    n = len(b) - N_ABOVE
    W1, W2, b2 = W[:n], W[n:].T, b[n:]
    result = []
    for v in Z:
        u = v / scale[:n]
        energies = []
        for h1, h2 in itertools.product(all_bits(N_HIDDEN), all_bits(N_ABOVE)):
            e = -u @ W1 @ h1 - h1 @ W2 @ h2 - b[:n] @ u - c @ h1 - b2 @ h2
            energies.append(e + (0.5 * u @ u if machine.n_gaussian else 0))
        result.append(logsumexp(-np.array(energies)))
    return np.array(result)


def log_partition(estimator):
    """In the units of the data."""
    return exact.log_partition(machine_of(estimator)) + np.log(estimator.net_.module_.encoder.scale.scale.numpy()).sum()


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
def test_the_restricted_view_has_the_energy_of_two_layers(kind, bits):
    machine = random_dbm(bits if kind == "bernoulli" else real_rows())
    assert machine.visible_ == kind
    rows = np.random.default_rng(1).random((4, machine.n_features_in_))
    restricted = [
        logsumexp(-exact.free_energy(machine_of(machine), np.hstack([np.tile(v, (4, 1)), all_bits(N_ABOVE)])))
        for v in rows
    ]
    np.testing.assert_allclose(restricted, log_unnormalised(machine, rows))


def test_free_energy_is_an_upper_bound(bits):
    for seed in range(5):
        machine = random_dbm(bits, seed=seed)
        slack = machine.free_energy(all_bits(3)) + log_unnormalised(machine, all_bits(3))
        assert slack.min() > -1e-6
        assert 1e-4 < slack.max() < 1
    machine = random_dbm(bits)
    with torch.no_grad():
        machine_of(machine).weight[3:] = 0  # where the layers do not see each other it is exact
    np.testing.assert_allclose(machine.free_energy(all_bits(3)), -log_unnormalised(machine, all_bits(3)), rtol=1e-6)


def test_free_energy_is_the_energy_less_the_entropy_under_the_factorised_distribution(bits):
    machine = random_dbm(bits, n_mean_field=200)  # at the fixed point h1 is the best for h2
    h1, h2 = naive_mean_field(machine_of(machine), bits[:4], N_ABOVE, 200)
    joint = np.hstack([bits[:4], h2])
    energies = [exact.energy(machine_of(machine), v, h) for v, h in zip(joint, h1, strict=True)]  # linear in each unit
    means = np.hstack([h1, h2])
    entropies = -(means * np.log(means) + (1 - means) * np.log(1 - means)).sum(1)
    np.testing.assert_allclose(machine.free_energy(bits[:4]), energies - entropies, rtol=1e-6)


def test_features_are_mean_field_means(bits):
    for X in (bits, real_rows()):
        for rounds in (1, 10):
            machine = random_dbm(X, n_mean_field=rounds)
            Z = standardised(machine, X.astype(np.float32))[:7]
            _, expected = naive_mean_field(machine_of(machine), Z, N_ABOVE, rounds)
            np.testing.assert_allclose(machine.transform(X)[:7], expected, atol=2e-5)


def test_attributes_and_inverse(bits):
    for X in (bits, real_rows()):
        machine = random_dbm(X)
        n = X.shape[1]
        W, b, c, noise = numbers(machine_of(machine))
        units = machine.net_.module_.encoder.scale
        mean, scale = (t.numpy().astype(float) for t in (units.mean, units.scale))
        assert machine.components_.shape == (N_HIDDEN, n)
        from_below = standardised(machine, X.astype(np.float32)) / noise[:n] @ W[:n]
        given = X.astype(np.float32).astype(float) @ machine.components_.T + machine.intercept_hidden_
        np.testing.assert_allclose(given, c + from_below, atol=2e-3)
        np.testing.assert_allclose(machine.intercept_visible_, mean + scale * noise[:n] * b[:n], rtol=1e-5)
        H = np.random.default_rng(0).random((5, N_ABOVE))
        h1 = expit(c + 2 * H @ W[n:])
        for _ in range(10):
            v = b[:n] + h1 @ W[:n].T
            v = noise[:n] * v if machine_of(machine).n_gaussian else expit(v)
            h1 = expit(c + v / noise[:n] @ W[:n] + H @ W[n:])
        np.testing.assert_allclose(machine.inverse_transform(H), mean + scale * v, rtol=1e-4)
        with pytest.raises(ValueError, match=r"X .*\b3\b.*DeepBoltzmannEncoder.*\b2\b"):
            machine.inverse_transform(np.zeros((1, 3)))


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
def test_partition_function_of_both_layers(kind, bits):
    off = []
    for seed in range(6):
        machine = random_dbm(bits if kind == "bernoulli" else real_rows(), seed=seed, size=0.7)
        estimate = machine.log_partition(n_temperatures=300)
        off.append(abs(estimate.value - log_partition(machine)) / estimate.standard_error)
    assert max(off) < 4
    assert np.mean(off) < 2


def test_log_likelihood_is_a_lower_bound(bits):
    machine = random_dbm(bits)
    estimate = machine.log_likelihood(all_bits(3), n_chains=400, n_temperatures=300)
    true = log_unnormalised(machine, all_bits(3)) - log_partition(machine)
    np.testing.assert_allclose(logsumexp(true), 0, atol=1e-6)
    assert (estimate.value < true + 4 * estimate.standard_error).all()
    assert (estimate.value > true - 1).all()
    assert estimate.standard_error < 0.05


@pytest.mark.parametrize("how", ["gibbs", "sample"])
def test_rows_are_drawn_from_the_machine(how, bits):
    machine = random_dbm(bits)
    probability = np.exp(log_unnormalised(machine, all_bits(3)) - log_partition(machine))
    if how == "gibbs":
        rows = machine.gibbs(np.ones((10_000, 3)), n_steps=60, random_state=0)
    else:
        rows = machine.sample(10_000, n_steps=300, random_state=0)
    assert (rows.dtype, rows.shape) == (np.float32, (10_000, 3))
    assert chi_square_p(rows, probability) > 1e-3


def test_means_of_samples_are_means_of_the_columns(bits):
    machine = random_dbm(bits)
    means = machine.sample(50, n_steps=20, means=True, random_state=0)
    W, b, *_ = numbers(machine_of(machine))
    possible = expit(b[:3] + all_bits(N_HIDDEN) @ W[:3].T)
    assert means.shape == (50, 3)
    assert np.abs(means[:, None] - possible).max(2).min(1).max() < 1e-5


def test_both_layers_learn():
    log_p = log_probability()
    X, others = rows_of(log_p, 1000), rows_of(log_p, 1000, seed=1)
    machine = DeepBoltzmannEncoder(4, n_hidden=10, max_epochs=100, lr=0.3, random_state=0).fit(X)
    bound = np.exp(log_p) @ log_p
    learned = machine.log_likelihood(others, n_temperatures=1000)
    assert bound - 0.4 < learned.value.mean() < bound + 0.15
    marginal = X.mean(0)
    independent = (others * np.log(marginal) + (1 - others) * np.log(1 - marginal)).sum(1).mean()
    assert learned.value.mean() > independent + 1
    above = machine_of(machine).weight[8:]
    assert float(above.abs().max()) > 0.2  # from 0.01


@pytest.mark.parametrize("persistent", [True, False])
def test_running_mean_of_the_upper_bits(persistent):
    X = rows_of(log_probability(), 100)
    machine = DeepBoltzmannEncoder(2, n_hidden=3, max_epochs=1, batch_size=100, persistent=persistent, random_state=0)
    module = machine.fit(X).net_.module_
    kept = module.visible_mean.numpy()
    np.testing.assert_allclose(kept[:8], (X.sum(0) + 1) / 102, rtol=1e-5)
    assert kept.shape == (10,)
    assert (np.abs(kept[8:] - 0.5) < 0.01).all()  # one step of 0.01 away from where it began, towards a mean of a half
    assert state(machine)["chain"].shape == (100 * persistent, 3)


@pytest.mark.parametrize("at", [(0, 1), (2, 2)])
@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_interrupted_and_resumed_is_the_same_to_the_bit(at, visible, tmp_path):
    X = np.random.default_rng(0).random((100, 6))
    options = {"visible": visible, "max_epochs": 4, "batch_size": 32, "validation_fraction": 0.1, "random_state": 0}
    whole = DeepBoltzmannEncoder(3, **options).fit(X)
    with pytest.raises(KeyboardInterrupt):
        DeepBoltzmannEncoder(3, **options, checkpoint=tmp_path, callbacks=[Ctrl(at, "raise")]).fit(X)
    resumed = DeepBoltzmannEncoder(3, **options, checkpoint=tmp_path).fit(X)
    assert resumed.resumed_from_ == at
    assert_same_state(resumed, whole)
    assert resumed.history_ == whole.history_


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_files_and_pickles_go_on_alike(visible, tmp_path):
    X = np.random.default_rng(0).random((100, 6))
    machine = DeepBoltzmannEncoder(3, n_hidden=5, visible=visible, max_epochs=2, momentum=0, random_state=0).fit(X)
    save(machine, tmp_path / "dbm.skrep")
    copies = [load(tmp_path / "dbm.skrep"), pickle.loads(pickle.dumps(machine))]
    machine.partial_fit(X)
    for copy in copies:
        copy.partial_fit(X)
        assert_same_state(copy, machine)
        np.testing.assert_array_equal(copy.transform(X), machine.transform(X))
        np.testing.assert_array_equal(copy.free_energy(X), machine.free_energy(X))


def test_validation_loss_falls():
    X = rows_of(log_probability(), 1000)
    machine = DeepBoltzmannEncoder(4, n_hidden=8, max_epochs=60, lr=0.3, validation_fraction=0.2, random_state=0).fit(X)
    assert machine.history_[-1]["valid_loss"] < 0.8 * machine.history_[0]["valid_loss"]


def test_sizes():
    X = rows_of(log_probability(), 60)
    machine = DeepBoltzmannEncoder(max_epochs=1).fit(X)
    assert (machine.n_features_out_, machine.components_.shape) == (16, (16, 8))
    machine = DeepBoltzmannEncoder(5, max_epochs=1).fit(X)
    assert (machine.n_features_out_, machine.components_.shape) == (5, (16, 8))
    for name in ("n_hidden", "n_mean_field"):
        with pytest.raises(ValueError, match=rf"{name}=0\b.*\b1\b"):
            DeepBoltzmannEncoder(5, **{name: 0}).fit(X)
    with pytest.raises(ValueError, match=r"n_chains=1000000000000\).*GiB.*\b(8|13)\b"):
        DeepBoltzmannEncoder(5, n_chains=10**12).fit(X)


def test_features_tell_rows_apart(digits):
    X = digits[0] / 16
    encoder = make_pipeline(
        DeepBoltzmannEncoder(32, n_hidden=64, max_epochs=100, random_state=0),
        StandardScaler(),  # on data as few as these the means of the upper bits vary little
        LogisticRegression(C=0.1),
    )
    assert encoder.fit(X[:400], digits[1][:400]).score(X[400:], digits[1][400:]) > 0.6
