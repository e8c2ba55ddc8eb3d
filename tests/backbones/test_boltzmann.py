import itertools
import pickle

import numpy as np
import pytest
import torch
from scipy.stats import binom, kstest, norm
from sklearn.neural_network import BernoulliRBM
from torch import nn
from torch.autograd import gradcheck
from torch.func import functional_call

from skrep.backbones import BoltzmannMachine, BoltzmannTraining, MeanField, Phases, draw_bits, entropy
from skrep.backbones.boltzmann import _inverse_temperatures
from skrep.objectives import contrastive_divergence, sparsity_penalty
from tests.energy.exact import (
    KINDS,
    all_bits,
    chi_square_p,
    energy,
    free_energy,
    hidden_weights,
    log_partition,
    numbers,
    random_machine,
    transition,
)

each_kind = pytest.mark.parametrize("n_gaussian", KINDS.values(), ids=KINDS)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rows(machine, n, seed=0):
    """Visible units, with values between the bits among them."""
    rng = np.random.default_rng(seed)
    v = rng.random((n, len(machine.visible_bias)))
    v[:, : machine.n_gaussian] = rng.normal(scale=2, size=(n, machine.n_gaussian))
    return torch.from_numpy(v)


def in_training(machine, n_observed=None, **options):
    options = {"n_chains": 5, "centring": True, "averaging": 0.9} | options
    n_visible = len(machine.visible_bias)
    average = pickle.loads(pickle.dumps(machine))
    mean = torch.linspace(0.2, 0.7, n_visible)
    training = BoltzmannTraining(machine, average, average, mean, n_observed=n_observed or n_visible, **options)
    training.hidden_mean.copy_(torch.linspace(0.1, 0.8, len(machine.hidden_bias)))
    return training.double()


# --- energies --------------------------------------------------------------------------------------------------------


@each_kind
def test_free_energy_is_summed_over_all_hidden_states(n_gaussian):
    machine = random_machine(n_gaussian=n_gaussian)
    v = rows(machine, 9)
    np.testing.assert_allclose(machine.free_energy(v).detach(), free_energy(machine, v.numpy()), rtol=1e-9)


def test_free_energy_is_scikit_learns():
    machine = random_machine(6, 5)
    theirs = BernoulliRBM(5)
    W, theirs.intercept_visible_, theirs.intercept_hidden_, _ = numbers(machine)
    theirs.components_ = W.T
    v = rows(machine, 20)
    np.testing.assert_allclose(machine.free_energy(v).detach(), theirs._free_energy(v.numpy()), rtol=1e-9)


@each_kind
def test_conditionals_follow_from_the_energy(n_gaussian):
    machine = random_machine(n_gaussian=n_gaussian)
    v, hidden = rows(machine, 5), all_bits(3)
    for row, means in zip(v.numpy(), machine(v).detach().numpy(), strict=True):
        weights = np.exp([-energy(machine, row, h) for h in hidden])
        np.testing.assert_allclose(means, weights @ hidden / weights.sum(), rtol=1e-9)
    h = torch.rand(5, 3, dtype=torch.float64, generator=seeded())  # means will do, as the energy is linear in each
    for i, given in itertools.product(range(4), range(5)):
        at = np.zeros((3, 4))
        at[1, i], at[2, i] = 1, 2
        zero, one, two = (energy(machine, row, h[given].numpy()) for row in at)
        if i < n_gaussian:  # a parabola, and its lowest point
            expected = (4 * (one - zero) - (two - zero)) / (2 * (2 * (one - zero) - (two - zero)))
        else:
            expected = 1 / (1 + np.exp(one - zero))
        np.testing.assert_allclose(machine.visible_mean(h)[given, i].item(), expected, rtol=1e-9)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("n_hidden", [1, 3, 16, 17])
def test_hidden_means_in_both_modes_and_at_every_place_in_the_batch(training, n_hidden):
    machine = random_machine(7, n_hidden).float().train(training)
    v = torch.rand(64, 7, generator=seeded())
    W, _, c, _ = numbers(machine)
    with torch.inference_mode():
        means = machine(v)
        np.testing.assert_allclose(means, 1 / (1 + np.exp(-c - v.double().numpy() @ W)), atol=1e-6)
        if not training:
            for shift in (1, 3, 50):
                assert torch.equal(machine(v.roll(shift, 0)), means.roll(shift, 0))


def test_entropy():
    p = torch.tensor([[0.3, 0.5], [0.0, 1.0]], dtype=torch.float64)
    expected = -(0.3 * np.log(0.3) + 0.7 * np.log(0.7)) + np.log(2)
    np.testing.assert_allclose(entropy(p), [expected, 0], rtol=1e-12)


# --- gradients -------------------------------------------------------------------------------------------------------


@each_kind
def test_gradient_of_the_contrast_by_finite_differences(n_gaussian):
    training = in_training(random_machine(n_gaussian=n_gaussian)).train()
    learned = {n: p for n, p in training.named_parameters() if n.startswith("machine.") and p.requires_grad}
    assert len(learned) == 3 + (n_gaussian > 0)
    data, fantasy = rows(training.machine, 4).requires_grad_(), rows(training.machine, 3, 1).requires_grad_()

    def loss(data, fantasy, *parameters):
        outputs = functional_call(training, dict(zip(learned, parameters, strict=True)), ((data, fantasy),))
        return contrastive_divergence(outputs.data, outputs.fantasy) + 0.7 * sparsity_penalty(outputs.hidden, 0.2)

    assert gradcheck(loss, (data, fantasy, *learned.values()), check_undefined_grad=False)


@each_kind
def test_gradient_of_the_free_energy_by_finite_differences(n_gaussian):
    machine = random_machine(n_gaussian=n_gaussian)
    u = rows(machine, 3).requires_grad_()
    assert gradcheck(machine.free_energy, (u,))
    other = rows(machine, 2, 1).requires_grad_()

    def one_number(u, v):  # with another weight for each row and unit
        of_data, of_dreamt, mean, _ = machine.phases(u, v)
        return of_data @ torch.arange(3.0).double() - of_dreamt @ torch.arange(2.0).double() + mean[0] - 2 * mean[1]

    assert gradcheck(one_number, (u, other), check_undefined_grad=False)
    phases = machine.phases(u, other)
    torch.testing.assert_close(phases[0], machine.free_energy(u))
    torch.testing.assert_close(phases[1], machine.free_energy(other))
    (gradient,) = torch.autograd.grad(machine.free_energy(u).sum(), u)
    step = 1e-6 * torch.eye(4, dtype=torch.float64)
    for i in range(4):
        up, down = (free_energy(machine, (u.detach() + sign * step[i]).numpy()) for sign in (1, -1))
        np.testing.assert_allclose(gradient[:, i], (up - down) / 2e-6, rtol=1e-5, atol=1e-7)


def gradients(training, data, fantasy):
    """Of weights, visible and hidden biases (and scales), after :meth:`BoltzmannTraining.centre`."""
    training.zero_grad()
    outputs = training.train()((data, fantasy))
    contrastive_divergence(outputs.data, outputs.fantasy).backward()
    training.centre()
    return [p.grad.clone() for p in training.machine.learned()]


@each_kind
def test_centred_gradient_is_the_one_of_the_centred_energy(n_gaussian):
    training = in_training(random_machine(n_gaussian=n_gaussian))
    machine = training.machine
    data, fantasy = rows(machine, 6), rows(machine, 5, 1)
    mu = machine.scaled(training.visible_mean).detach()
    lam = training.hidden_mean.clone()
    hidden = torch.from_numpy(all_bits(3))
    W = machine.weight.detach().clone().requires_grad_()
    b = (machine.visible_bias + machine.weight @ lam).detach().requires_grad_()
    c = (machine.hidden_bias + mu @ machine.weight).detach().requires_grad_()
    u = [machine.scaled(v).detach() for v in (data, fantasy)]

    def energies(u):  # of units less their means, summed over all hidden states: (batch, n_visible) -> (batch,)
        joint = -(u @ b)[:, None] - hidden @ c - ((u - mu) @ W) @ (hidden - lam).T
        return 0.5 * u[:, :n_gaussian].square().sum(1) - torch.logsumexp(-joint, 1)

    (energies(u[0]).mean() - energies(u[1]).mean()).backward()
    expected = [W.grad, b.grad - W.grad @ lam, c.grad - mu @ W.grad]
    for ours, theirs in zip(gradients(training, data, fantasy), expected, strict=False):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("centring", [True, False])
def test_which_value_of_a_bit_is_called_one_does_not_matter_with_centring(centring):
    one = in_training(random_machine(), centring=centring)
    two = in_training(random_machine(), centring=centring)
    data, fantasy = rows(one.machine, 6), rows(one.machine, 5, 1)
    W, b, c = (p.detach().clone() for p in one.machine.learned())
    with torch.no_grad():  # the same machine of bits that are turned over
        two.machine.weight.copy_(-W)
        two.machine.visible_bias.copy_(-b)
        two.machine.hidden_bias.copy_(c + W.sum(0))
        two.visible_mean.copy_(1 - one.visible_mean)
    difference = two.machine.free_energy(1 - data) - one.machine.free_energy(data)
    torch.testing.assert_close(difference, difference[:1].expand(6))
    of_W, of_b, of_c = gradients(one, data, fantasy)
    flipped = gradients(two, 1 - data, 1 - fantasy)
    expected = (-of_W, -of_b, of_c + of_W.sum(0))
    assert all(torch.allclose(f, e) for f, e in zip(flipped, expected, strict=True)) == centring


# --- what moves with every step --------------------------------------------------------------------------------------


@pytest.mark.parametrize("averaging", [0.1, 0.5, 0.9, 0.999])
def test_average_is_a_normalised_exponential_one(averaging):
    machine = random_machine(n_gaussian=2).float()
    training = in_training(machine, averaging=averaging).float()
    history = []
    for step in range(30):
        with torch.no_grad():
            for parameter in machine.learned():
                parameter.copy_(-torch.rand(parameter.shape, generator=seeded(step)))  # as log_scale may be
        history.append([p.detach().clone().double() for p in machine.learned()])
        training.update_averages(Phases(torch.zeros(2), torch.zeros(5), torch.full((3,), 0.5), None, torch.zeros(5, 3)))
        weights = [averaging ** (step - i) for i in range(step + 1)]
        for k, kept in enumerate(training.average.learned()):
            naive = sum(w * then[k] for w, then in zip(weights, history, strict=True)) / sum(weights)
            torch.testing.assert_close(kept.double(), naive, rtol=1e-5, atol=1e-6)


def test_chains_and_running_means_move_on():
    training = in_training(random_machine(), n_observed=3)
    before = training.visible_mean.clone(), training.hidden_mean.clone()
    hidden, inferred, chain = torch.rand(3).double(), torch.rand(1).double(), torch.rand(5, 3).double()
    training.update_averages(Phases(torch.zeros(2), torch.zeros(5), hidden, inferred, chain))
    assert torch.equal(training.chain, chain)
    torch.testing.assert_close(training.hidden_mean, 0.99 * before[1] + 0.01 * hidden)
    assert torch.equal(training.visible_mean[:3], before[0][:3])
    torch.testing.assert_close(training.visible_mean[3:], 0.99 * before[0][3:] + 0.01 * inferred)
    without = in_training(random_machine(), n_chains=0)
    without.update_averages(Phases(torch.zeros(2), torch.zeros(5), hidden, None, chain))
    assert without.chain.shape == (0, 3)


@pytest.mark.parametrize("training", [True, False])
def test_phases(training):
    module = in_training(random_machine(n_gaussian=2), n_observed=3).train(training)
    machine = module.machine
    data, fantasy = rows(machine, 4), rows(machine, 5, 1)
    outputs = module((data, fantasy))
    for energies, v in ((outputs.data, data), (outputs.fantasy, fantasy)):
        p = v[:, 3].numpy()
        bits = 0 if training else -(p * np.log(p) + (1 - p) * np.log(1 - p))
        np.testing.assert_allclose(energies.detach(), free_energy(machine, v.numpy()) - bits, rtol=1e-9)
    torch.testing.assert_close(outputs.hidden, machine(data).mean(0))
    torch.testing.assert_close(outputs.chain, machine(fantasy))
    torch.testing.assert_close(outputs.inferred, data[:, 3:].mean(0))
    assert not outputs.chain.requires_grad
    assert in_training(random_machine())((data, fantasy)).inferred is None


# --- draws -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_columns", [8, 4096, 4099])  # few numbers; many; and an odd number of them
def test_frequencies_of_bits(n_columns, dtype):
    n = 5
    p = torch.linspace(0, 1, n_columns * n, dtype=dtype).view(n_columns, n).t()  # not contiguous
    total, n_draws, generator = torch.zeros(n, n_columns), 200, seeded()
    pairs = 0.0
    for _ in range(n_draws):
        bits = draw_bits(p, generator)
        assert bits.shape == p.shape
        assert bits.dtype == dtype
        assert ((bits == 0) | (bits == 1)).all()
        total += bits
        rest = (bits - p).flatten()
        pairs += float((rest[1:] * rest[:-1]).mean()) / n_draws
    assert total[0, 0] == 0
    assert total[-1, -1] == n_draws
    expected, variance = n_draws * p, n_draws * p * (1 - p)
    z = ((total - expected) / variance.sqrt().clamp(min=1e-3)).flatten()
    assert abs(float(z.sum()) / len(z) ** 0.5) < 4
    assert abs(float(z[1:-1].square().mean()) - 1) < 6 * (2 / len(z)) ** 0.5
    assert abs(pairs) < 4 * 0.17 / (n_draws * len(z)) ** 0.5  # neighbours know nothing of each other


@pytest.mark.parametrize("n", [100, 2**15])
def test_certain_bits_are_certain_and_rare_ones_rare(n):
    generator, nearly = seeded(), 1 - 2.0**-24
    p = torch.tensor([0.0, 1.0, 2.0**-10, nearly]).repeat_interleave(n)
    n_draws, rare = 0, 0
    for _ in range(20 if n > 1000 else 2000):
        zero, one, seldom, _ = draw_bits(p, generator).view(4, n)
        assert not zero.any()
        assert one.all()
        n_draws, rare = n_draws + n, rare + int(seldom.sum())
    assert 1e-4 < binom.cdf(rare, n_draws, 2.0**-10) < 1 - 1e-4


@pytest.mark.parametrize("n", [100, 2**15])
def test_bits_follow_from_the_generator_alone(n):
    p = torch.full((n,), 0.5)
    before = torch.random.get_rng_state()
    assert torch.equal(draw_bits(p, seeded(1)), draw_bits(p, seeded(1)))
    assert not torch.equal(draw_bits(p, seeded(1)), draw_bits(p, seeded(2)))
    generator = seeded(1)
    assert not torch.equal(draw_bits(p, generator), draw_bits(p, generator))
    assert torch.equal(torch.random.get_rng_state(), before)


def starts(n_visible, n, state=-1):
    return torch.from_numpy(all_bits(n_visible)[[state]]).repeat(n, 1)


def two_states():
    """All bits on, or all off, between which chains go slowly."""
    machine = random_machine(3, 2)
    with torch.no_grad():
        machine.weight.fill_(3.0)
        machine.visible_bias.fill_(-3.0)
        machine.hidden_bias.copy_(torch.tensor([-4.5, -4.0]))
    return machine


@pytest.mark.parametrize("n_steps", [1, 2, 3])
def test_gibbs_takes_as_many_steps_as_asked(n_steps):
    machine = two_states()
    after = np.linalg.matrix_power(transition(machine), n_steps)[-1]
    with torch.no_grad():
        v = machine.gibbs(starts(3, 20_000), n_steps, seeded(n_steps))
        assert chi_square_p(v.numpy(), after) > 1e-3
        training = in_training(machine)
        fantasy = training.sample_model(machine(starts(3, 20_000)), n_steps, seeded(n_steps))
        assert chi_square_p(fantasy.numpy(), after) > 1e-3
    others = (np.linalg.matrix_power(transition(machine), other)[-1] for other in {1, 2, 3} - {n_steps})
    assert all(chi_square_p(v.numpy(), other) < 1e-3 for other in others)  # or the test could not tell


@pytest.mark.parametrize("seed", range(3))
def test_gibbs_chains_end_in_the_machines_distribution(seed):
    machine = random_machine(3, 2, seed=seed)
    probability = np.exp(-free_energy(machine, all_bits(3)) - log_partition(machine))
    np.testing.assert_allclose(probability.sum(), 1)
    with torch.no_grad():
        v = machine.gibbs(starts(3, 20_000), 60, seeded(seed))
    assert chi_square_p(v.numpy(), probability) > 1e-3
    uniform = np.full(8, 1 / 8)
    assert chi_square_p(v.numpy(), uniform) < 1e-6


@pytest.mark.parametrize("how", ["gibbs", "anneal"])
def test_gaussian_units_are_drawn_from_the_mixture(how):
    machine = random_machine(3, 2, n_gaussian=2, seed=3)
    _, given, weights = hidden_weights(machine)
    share = np.exp(weights - log_partition(machine))
    *_, scale = numbers(machine)
    with torch.no_grad():
        if how == "gibbs":
            v = machine.gibbs(torch.zeros(5000, 3, dtype=torch.float64), 60, seeded())
        else:
            v = machine.anneal(5000, 300, seeded())[0]
    for i in range(2):
        p = kstest(v[:, i].numpy(), lambda x, i=i: norm.cdf(x[:, None] / scale[i] - given[:, i]) @ share).pvalue
        assert p > 1e-3
    on = share @ (1 / (1 + np.exp(-given[:, 2])))
    assert 1e-3 < binom.cdf(int(v[:, 2].sum()), 5000, on) < 1 - 1e-3


@each_kind
def test_neighbours_differ_in_one_column(n_gaussian):
    machine = random_machine(n_gaussian=n_gaussian)
    v = rows(machine, 4000).round()
    other = machine.neighbour(v, seeded())
    change = (other - v).numpy()
    assert ((change != 0).sum(1) == 1).all()
    columns = np.bincount(change.nonzero()[1], minlength=4)
    assert np.square(columns - 1000).sum() / 1000 < 21  # chi-square, 3 degrees of freedom, p = 1e-4
    for i in range(4):
        of_column = change[change[:, i] != 0, i]
        if i < n_gaussian:
            assert kstest(of_column, "norm").pvalue > 1e-3
        else:
            assert set(np.unique(np.abs(of_column))) == {1}
            assert ((other[:, i] == 0) | (other[:, i] == 1)).all()


# --- the partition function ------------------------------------------------------------------------------------------


def test_the_reference_itself():
    machine = random_machine(3, 2)
    summed = np.logaddexp.reduce([-energy(machine, v, h) for v in all_bits(3) for h in all_bits(2)])
    np.testing.assert_allclose(log_partition(machine), summed)
    one = random_machine(1, 2, n_gaussian=1)
    grid = np.linspace(-40, 40, 4001)
    integral = np.exp(-free_energy(one, grid[:, None])).sum() * (grid[1] - grid[0])
    np.testing.assert_allclose(log_partition(one), np.log(integral), rtol=1e-9)


@each_kind
def test_annealing_against_enumeration(n_gaussian):
    off = []
    for seed in range(20):
        machine = random_machine(5, 4, n_gaussian=n_gaussian, size=0.7, seed=seed).requires_grad_(False)
        estimate = machine.log_partition(100, 300, seeded(seed))
        assert 0 < estimate.standard_error < 0.2
        off.append((estimate.value - log_partition(machine)) / estimate.standard_error)
    off = np.abs(off)
    assert (off < 3).sum() >= 19
    assert off.max() < 4
    assert off.mean() > 0.4  # 0.8 for a normal distribution: the error that is told is no larger than need be


@each_kind
def test_annealing_is_exact_where_it_need_not_move(n_gaussian):
    machine = random_machine(n_gaussian=n_gaussian).requires_grad_(False)
    with torch.no_grad():
        machine.weight.zero_()
        machine.hidden_bias.zero_()
        machine.visible_bias.copy_(machine.base_bias)
        machine.log_scale.zero_()
    estimate = machine.log_partition(3, 7, seeded())
    np.testing.assert_allclose(estimate.value, log_partition(machine), rtol=1e-6)
    np.testing.assert_allclose(estimate.standard_error, 0, atol=1e-6)


@each_kind
def test_more_work_shrinks_the_error(n_gaussian):
    machine = random_machine(5, 4, n_gaussian=n_gaussian, size=0.5, seed=2).requires_grad_(False)
    true = log_partition(machine)

    def error(n_chains, n_temperatures):
        estimates = [machine.log_partition(n_chains, n_temperatures, seeded(seed)) for seed in range(8)]
        return (
            np.sqrt(np.mean([(e.value - true) ** 2 for e in estimates])),
            np.mean([e.standard_error for e in estimates]),
        )

    few, temperatures, chains = error(20, 10), error(20, 200), error(2000, 10)
    for i in range(2):
        assert temperatures[i] < 0.6 * few[i]
        assert chains[i] < 0.4 * few[i]


def test_one_temperature_is_importance_sampling():
    machine = random_machine(4, 3, size=0.5)
    v, log_weight = machine.anneal(20_000, 1, seeded())
    assert v.shape == (20_000, 4)
    assert log_weight.dtype == torch.float64
    mean, error = log_weight.exp().mean(), log_weight.exp().std() / 20_000**0.5
    assert abs(mean - np.exp(log_partition(machine))) < 4 * error


def test_a_machine_that_learns_has_a_partition_function_too():
    machine = random_machine(n_gaussian=2, size=0.5)
    assert machine.log_scale.requires_grad
    estimate = machine.log_partition(50, 200, seeded())
    assert abs(estimate.value - log_partition(machine)) < 4 * estimate.standard_error


def test_temperatures_of_the_paper():
    # Salakhutdinov & Murray 2008, section 4.2: 500 from 0 to 0.5, 4000 to 0.9, 10000 to 1
    parts = (np.linspace(0, 0.5, 501), np.linspace(0.5, 0.9, 4001)[1:], np.linspace(0.9, 1, 10_001)[1:])
    np.testing.assert_allclose(_inverse_temperatures(14_500), np.concatenate(parts), atol=1e-6)
    for n in (1, 2, 3, 29, 1000):
        betas = _inverse_temperatures(n)
        assert len(betas) == n + 1
        assert (betas[0], betas[-1]) == (0.0, 1.0)
        assert all(a < b for a, b in itertools.pairwise(betas))


# --- two hidden layers -----------------------------------------------------------------------------------------------


def naive_mean_field(machine, v, n_above, n_steps):
    """One row after another, one unit after another; means of h1 and h2."""
    W, b, c, scale = numbers(machine)
    n = len(b) - n_above
    result = []
    for row in v:
        u = row / scale[:n]
        h1 = [1 / (1 + np.exp(-c[j] - 2 * sum(u[i] * W[i, j] for i in range(n)))) for j in range(len(c))]
        for _ in range(n_steps):
            h2 = [1 / (1 + np.exp(-b[k] - sum(h1[j] * W[k, j] for j in range(len(c))))) for k in range(n, len(b))]
            h1 = [
                1 / (1 + np.exp(-c[j] - sum(u[i] * W[i, j] for i in range(n)) - np.dot(h2, W[n:, j])))
                for j in range(len(c))
            ]
        result.append((h1, h2))
    return [np.array(layer) for layer in zip(*result, strict=True)]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("n_gaussian", [0, 3])
@pytest.mark.parametrize("n_steps", [1, 2, 10])
def test_mean_field_against_a_naive_loop(n_steps, n_gaussian, training):
    machine = random_machine(5, 4, n_gaussian=n_gaussian)
    v = rows(machine, 6)[:, :3]
    field = MeanField(machine, n_steps).train(training)
    _, expected = naive_mean_field(machine, v.numpy(), 2, n_steps)
    np.testing.assert_allclose(field(v).detach(), expected, rtol=1e-9)


@pytest.mark.parametrize("n_gaussian", [0, 3])
def test_mean_field_ends_in_a_fixed_point(n_gaussian):
    machine = random_machine(5, 4, n_gaussian=n_gaussian, size=0.7)
    W, b, c, scale = numbers(machine)
    v = rows(machine, 6)[:, :3]
    h2 = MeanField(machine, 500)(v).detach().numpy()
    h1 = 1 / (1 + np.exp(-c - (v.numpy() / scale[:3]) @ W[:3] - h2 @ W[3:]))
    np.testing.assert_allclose(h2, 1 / (1 + np.exp(-b[3:] - h1 @ W[3:].T)), rtol=1e-9)


@pytest.mark.parametrize("n_gaussian", [0, 3])
@pytest.mark.parametrize("n_steps", [1, 4, 300])
def test_mean_field_inverse(n_steps, n_gaussian):
    machine = random_machine(5, 4, n_gaussian=n_gaussian, size=0.7)
    W, b, c, scale = numbers(machine)
    h2 = np.random.default_rng(0).random((6, 2))
    ours = MeanField(machine, n_steps).inverse(torch.from_numpy(h2)).detach().numpy()
    h1 = 1 / (1 + np.exp(-c - 2 * h2 @ W[3:]))
    for _ in range(n_steps):
        given = b[:3] + h1 @ W[:3].T
        v = scale[:3] * given if n_gaussian else 1 / (1 + np.exp(-given))
        h1 = 1 / (1 + np.exp(-c - (v / scale[:3]) @ W[:3] - h2 @ W[3:]))
    np.testing.assert_allclose(ours, v, rtol=1e-9)


# --- the module ------------------------------------------------------------------------------------------------------


def test_scales_are_learned_for_gaussian_units_alone():
    for n_gaussian in (0, 2, 4):
        machine = random_machine(n_gaussian=n_gaussian)
        assert machine.log_scale.requires_grad == (n_gaussian > 0)
        assert len(machine.learned()) == 3 + (n_gaussian > 0)
        v = rows(machine, 3)
        torch.testing.assert_close(machine.unscaled(machine.scaled(v)), v)
        assert torch.equal(machine.scaled(v)[:, n_gaussian:], v[:, n_gaussian:])


def test_the_average_is_one_machine_in_copies_and_files_too():
    training = pickle.loads(pickle.dumps(in_training(random_machine())))
    assert training.average is training.encoder
    names = [name for name, _ in training.named_parameters()]
    assert len(names) == len(set(names)) == 8
    assert isinstance(training, nn.Module)
    assert isinstance(training.average, BoltzmannMachine)
