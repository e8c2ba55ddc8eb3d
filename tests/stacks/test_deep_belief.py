"""The stack is its machines; with up-down it is the pseudo-code; its bound and its samples are those of all states."""

import copy
import itertools
from functools import partial

import numpy as np
import pytest
import torch
from scipy.special import expit, logsumexp, xlogy
from scipy.stats import chi2, kstest, norm
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import skrep
from skrep import DeepBeliefEncoder, PCAEncoder, RBMEncoder
from skrep.data import ArraySource, Batch
from skrep.engine import Net
from skrep.engine.fit import split
from tests.energy.exact import all_bits, chi_square_p, free_energy, log_partition, numbers, randomise

N_VISIBLE = 4
KINDS = ("bernoulli", "gaussian")
each_kind = pytest.mark.parametrize("kind", KINDS)


def rows(kind, n=60, n_columns=N_VISIBLE, seed=0):
    """Values in [0, 1], or correlated columns in units of their own."""
    rng = np.random.default_rng(seed)
    if kind == "bernoulli":
        return rng.random((n, n_columns)).astype(np.float32)
    mixed = rng.normal(size=(n, n_columns)) @ rng.normal(size=(n_columns, n_columns))
    return (5 + mixed * np.arange(1, n_columns + 1)).astype(np.float32)


def make(hidden=(3,), n_components=2, *, n_epochs=1, rbm=None, **options):
    """A stack that fits in a blink; `rbm` are options of its machines, `n_epochs` their passes."""
    machine = RBMEncoder(**{"max_epochs": n_epochs, "batch_size": 16} | (rbm or {}))
    return DeepBeliefEncoder(n_components, hidden=hidden, rbm=machine, **{"random_state": 0} | options)


def tiny(hidden=(3,), n_components=2, kind="bernoulli", **options):
    """A fitted net of which no number is near zero, and no weight that leads down is one that leads up."""
    net = make(hidden, n_components, **options).fit(rows(kind))
    module = net.net_.module_
    for seed, machine in enumerate([*module.encoder.backbone, *module.down]):
        randomise(machine, 1.0, seed=10 * seed)
    return net


def weights(net):
    return {name: tensor.clone() for name, tensor in net.net_.module_.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def moments(net):
    units = net.net_.module_.encoder.scale
    return units.mean.double().numpy(), units.scale.double().numpy()


# --- every state of a tiny net, in NumPy ---------------------------------------------------------------------------


def log_bits(states, logits):
    """Log-probability of rows of bits."""
    return (states * logits - np.logaddexp(0, logits)).sum(-1)


def log_below(machine, v, h):
    """Log of p(v | h), v in units of the machine; broadcasts over rows."""
    W, b, _, scale = numbers(machine)
    given = b + h @ W.T
    if machine.n_gaussian:
        return norm.logpdf(v, scale * given, scale).sum(-1)
    return log_bits(v, given)


def up_logits(machine, v):
    W, _, c, scale = numbers(machine)
    return c + (v / scale) @ W


def chains(net):
    """Every choice of bits for the layers between the rows and the last: a list of tuples of bits."""
    widths = [len(machine.hidden_bias) for machine in net.net_.module_.down]
    return list(itertools.product(*map(all_bits, widths)))


def log_joint(net, v, chain):
    """Log of p(v, h1, ..., h_{L-1}), v in units of the machine."""
    module, states = net.net_.module_, (v, *chain)
    total = -free_energy(module.top, states[-1][None])[0] - log_partition(module.top)
    return total + sum(log_below(m, states[i], states[i + 1]) for i, m in enumerate(module.down))


def in_units(net, X):
    mean, scale = moments(net)
    return (np.asarray(X, dtype=float) - mean) / scale


def exact_log_probability(net, X):
    volume = np.log(moments(net)[1]).sum()
    return np.array([logsumexp([log_joint(net, v, c) for c in chains(net)]) - volume for v in in_units(net, X)])


def exact_bound(net, X):
    """Of each row: the mean over the states it calls up of log p(v, h) - log q(h | v), and their spread.

    The spread is that of a draw for which the entropy of each layer is known given the states of the layer below.
    """
    module, volume = net.net_.module_, np.log(moments(net)[1]).sum()
    means, spreads = [], []
    for v in in_units(net, X):
        log_q, value, drawn = [], [], []
        for chain in chains(net):
            states, q, known = (v, *chain), 0.0, 0.0
            for i, machine in enumerate(module.up):
                logits = up_logits(machine, states[i])
                q += log_bits(states[i + 1], logits)
                p = expit(logits)
                known -= (xlogy(p, p) + xlogy(1 - p, 1 - p)).sum()
            joint = log_joint(net, v, chain)
            log_q.append(q)
            value.append(joint - q)
            drawn.append(joint + known)
        q, drawn = np.exp(log_q), np.array(drawn)
        assert np.isclose(q.sum(), 1)
        means.append(q @ np.array(value) - volume)
        spreads.append(np.sqrt(q @ np.square(drawn) - (q @ drawn) ** 2))
    return np.array(means), np.array(spreads)


# --- the stack -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*KINDS, "bits"])
@pytest.mark.parametrize("hidden", [(), (9,), (9, 6)], ids=str)
def test_without_epochs_it_is_the_pipeline_of_its_machines(kind, hidden, tmp_path):
    X = (rows("bernoulli") > 0.6).astype(np.uint8) if kind == "bits" else rows(kind)
    options = {"max_epochs": 3, "batch_size": 16, "n_gibbs": 2, "sparsity_target": 0.2}
    net = DeepBeliefEncoder(5, hidden=hidden, rbm=RBMEncoder(**options), random_state=3).fit(X)
    machines = [RBMEncoder(n, random_state=3, **options) for n in (*hidden, 5)]
    pipeline = make_pipeline(*machines).fit(X)
    expected = pipeline.transform(X)
    assert expected.std(0).min() > 0
    np.testing.assert_array_equal(net.transform(X), expected)
    module = net.net_.module_
    for i, machine in enumerate(machines):
        learned = machine.net_.module_.average.state_dict()
        assert same(dict(module.encoder.backbone[i].state_dict()), dict(learned))
        assert i == len(hidden) or same(dict(module.down[i].state_dict()), dict(learned))
    skrep.save(net, tmp_path / "net.skrep")
    loaded = skrep.load(tmp_path / "net.skrep")
    np.testing.assert_array_equal(loaded.transform(X), expected)
    assert same(weights(loaded), weights(net))
    assert (net.history_, net.n_epochs_, net.n_features_out_, net.n_features_in_) == ([], 0, 5, N_VISIBLE)


@each_kind
def test_of_one_machine_it_is_the_machine(kind):
    X = rows(kind)
    net = make((), 5, n_epochs=3).fit(X)
    machine = RBMEncoder(5, max_epochs=3, batch_size=16, random_state=0).fit(X)
    np.testing.assert_array_equal(net.transform(X), machine.transform(X))
    np.testing.assert_array_equal(*(e.inverse_transform(net.transform(X)) for e in (net, machine)))
    V = X if kind == "gaussian" else (X > 0.5)
    settings = {"n_chains": 20, "n_temperatures": 200}
    (value, error), (expected, its_error) = (e.log_likelihood(V, **settings) for e in (net, machine))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert error == pytest.approx(its_error, rel=1e-5)


@pytest.mark.parametrize(
    ("given", "widths"),
    [
        ({"n_components": 3, "hidden": (7, 5)}, [7, 5, 3]),
        ({"n_components": 3, "hidden": ()}, [3]),
        ({}, [16, 16]),
        ({"hidden": (3,)}, [3, 16]),
        ({"n_components": 3}, [16, 3]),
    ],
    ids=str,
)
def test_widths(given, widths):
    net = DeepBeliefEncoder(**given, rbm=RBMEncoder(max_epochs=1), random_state=0).fit(rows("bernoulli", n_columns=5))
    assert [len(machine.hidden_bias) for machine in net.net_.module_.encoder.backbone] == widths


def test_the_mould_is_left_alone_and_what_the_stack_decides_is_overridden(tmp_path):
    X = rows("gaussian")
    mould = RBMEncoder(99, max_epochs=2, visible="gaussian", random_state=np.random.RandomState(7))
    mould.set_params(device="nowhere", verbose=2, checkpoint=tmp_path / "x")
    before = {name: repr(value) for name, value in mould.get_params().items()}
    net = DeepBeliefEncoder(2, hidden=(3,), rbm=mould, random_state=0).fit(X)
    assert {name: repr(value) for name, value in mould.get_params().items()} == before
    assert not hasattr(mould, "net_")
    assert not (tmp_path / "x").exists()
    expected = DeepBeliefEncoder(2, hidden=(3,), rbm=RBMEncoder(max_epochs=2, visible="gaussian"), random_state=0).fit(
        X
    )
    assert same(weights(net), weights(expected))
    assert [machine.n_gaussian for machine in net.net_.module_.encoder.backbone] == [N_VISIBLE, 0]


def test_the_machines_parameters_are_reached_by_name():
    X = rows("bernoulli")
    net = make().set_params(rbm__n_gibbs=3, rbm__max_epochs=2)
    one = RBMEncoder(3, n_gibbs=3, max_epochs=2, batch_size=16, random_state=0).fit(X)
    assert same(dict(net.fit(X).net_.module_.down[0].state_dict()), dict(one.net_.module_.average.state_dict()))
    other = clone(net).set_params(rbm__n_gibbs=1).fit(X)
    assert not same(weights(other), weights(net))
    grid = {"rbm__n_gibbs": [1, 3], "max_epochs": [0, 1]}
    search = GridSearchCV(net, grid, cv=2, error_score="raise").fit(X > 0.5)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(set(search.cv_results_["mean_test_score"])) == 4


def test_score_is_the_mean_bound():
    net, V = tiny(), all_bits(N_VISIBLE)
    assert net.score(V) == net.log_likelihood(V, n_temperatures=1000).value.mean()


# --- up-down -------------------------------------------------------------------------------------------------------


def delta_rules(module, states, fantasy):
    """Appendix B of Hinton, Osindero & Teh 2006, a row at a time: by how much each number rises, but for the rate.

    As there but for two means that stand in for draws from them: of the topmost bits in both phases. Gaussian units
    enter, and are told, in units of their noise.
    """
    updates, n = {}, len(states[0])
    n_below = len(module.down)

    def add(name, value):
        updates[name] = updates.get(name, 0) + value / n

    for row in range(n):
        wake = [layer[row].double().numpy() for layer in states]
        sleep = [layer[row].double().numpy() for layer in fantasy]
        for i in range(n_below):
            W, b, _, scale = numbers(module.down[i])
            given = b + W @ wake[i + 1]
            p = given if module.down[i].n_gaussian else expit(given)
            error = wake[i] / scale - p
            add(f"down.{i}.weight", np.outer(error, wake[i + 1]))
            add(f"down.{i}.visible_bias", error)
            _, _, _, scale = numbers(module.up[i])
            error = sleep[i + 1] - expit(up_logits(module.up[i], sleep[i]))
            add(f"encoder.backbone.{i}.weight", np.outer(sleep[i] / scale, error))
            add(f"encoder.backbone.{i}.hidden_bias", error)
        name, scale = f"encoder.backbone.{n_below}", numbers(module.top)[3]
        for sign, state in ((1, wake[-1]), (-1, sleep[-1])):
            top = expit(up_logits(module.top, state))
            add(f"{name}.weight", sign * np.outer(state / scale, top))
            add(f"{name}.visible_bias", sign * state / scale)
            add(f"{name}.hidden_bias", sign * top)
    return updates


def log_likelihoods(module, states, fantasy):
    """What both phases raise, for finite differences: mean log-probabilities, and minus the contrast."""
    wake, sleep = ([layer.double().numpy() for layer in layers] for layers in (states, fantasy))
    total = np.mean(free_energy(module.top, sleep[-1])) - np.mean(free_energy(module.top, wake[-1]))
    for i, (up, down) in enumerate(zip(module.up, module.down, strict=True)):
        total += np.mean(log_below(down, wake[i], wake[i + 1]))
        total += np.mean(log_bits(sleep[i + 1], up_logits(up, sleep[i])))
    return total


@each_kind
@pytest.mark.parametrize("hidden", [(3,), (4, 3)], ids=str)
def test_one_step_is_the_pseudo_code(kind, hidden, monkeypatch):
    net = tiny(hidden, kind=kind, optimizer="sgd", lr=0.1, weight_decay=0.0, batch_size=60)
    made, original = [], DeepBeliefEncoder.make_views

    def recording(self, data, module):
        views = original(self, data, module)
        return lambda *args: made.append(views(*args)) or made[-1]

    monkeypatch.setattr(DeepBeliefEncoder, "make_views", recording)
    before = copy.deepcopy(net.net_.module_)
    net.partial_fit(rows(kind))
    (((states, fantasy), target),) = made
    assert target is None
    assert [layer.shape[1] for layer in states] == [layer.shape[1] for layer in fantasy] == [N_VISIBLE, *hidden]
    risen = {k: (v - before.state_dict()[k]).double().numpy() / 0.1 for k, v in net.net_.module_.state_dict().items()}
    expected = delta_rules(before, states, fantasy)
    for name, change in risen.items():
        if name.endswith(".log_scale") and before.get_parameter(name).requires_grad:
            continue
        np.testing.assert_allclose(change, expected.get(name, 0), atol=2e-5, err_msg=name)
    assert np.abs(expected["down.0.weight"]).min() > 1e-4


@each_kind
def test_gradients_by_finite_differences(kind):
    net = tiny((3, 2), kind=kind)
    module = net.net_.module_
    generator = torch.Generator().manual_seed(0)
    X = rows(kind, 12)
    views = net.make_views(ArraySource(X), module)
    (states, fantasy), _ = views(Batch(torch.from_numpy(X), None, torch.arange(12)), generator)
    module.zero_grad()
    loss = net.objective(module((states, fantasy)), None)
    net.backward(module, {"": loss})
    assert float(loss.detach()) == pytest.approx(-log_likelihoods(module, states, fantasy), rel=1e-5)
    module = module.double()
    learned = {name: p for name, p in module.named_parameters() if p.requires_grad}
    assert any(name.endswith("log_scale") for name in learned) == (kind == "gaussian")
    for name, parameter in learned.items():
        if parameter.grad is None:  # biases that the other direction has
            assert name.endswith(("backbone.0.visible_bias", "backbone.1.visible_bias", "hidden_bias"))
            slope = np.zeros(parameter.numel())
        else:
            slope = parameter.grad.double().flatten().numpy()
        values = parameter.data.view(-1)
        for i in range(len(values)):
            kept, ends = float(values[i]), []
            for step in (1e-5, -1e-5):
                values[i] = kept + step
                ends.append(-log_likelihoods(module, states, fantasy))
            values[i] = kept
            assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(slope[i], abs=2e-4), f"{name}[{i}]"


def chi_square(counts, probability):
    """p of counts against probabilities, where all are expected five times or more."""
    expected = counts.sum() * np.asarray(probability)
    assert expected.min() > 5
    return chi2.sf((np.square(counts - expected) / expected).sum(), len(counts) - 1)


@pytest.mark.parametrize("n_gibbs", [1, 3])
def test_states_are_called_up_and_dreamt_with_their_probabilities(n_gibbs):
    net = tiny((3,), 2, rbm={"n_gibbs": n_gibbs})
    module = net.net_.module_
    row = np.array([0.9, 0.3, 0.5, 0.7], dtype=np.float32)
    X = np.tile(row, (20_000, 1))
    views = net.make_views(ArraySource(X), module)
    generator = torch.Generator().manual_seed(0)
    (states, fantasy), _ = views(Batch(torch.from_numpy(X), None, torch.arange(len(X))), generator)
    v, h = all_bits(4), all_bits(3)
    of_v = np.exp(np.log(np.where(v == 1, row, 1 - row)).sum(1))  # (16,)
    of_h = of_v @ np.exp([log_bits(h, up_logits(module.up[0], bits)) for bits in v])  # (8,)
    assert chi_square_p(states[0].numpy(), of_v) > 1e-3
    assert chi_square_p(states[1].numpy(), of_h) > 1e-3
    top = all_bits(2)
    rise = np.exp([log_bits(top, up_logits(module.top, bits)) for bits in h])  # (8, 4)
    fall = np.exp([log_below(module.top, h, bits) for bits in top])  # (4, 8)
    after = of_h @ np.linalg.matrix_power(rise @ fall, n_gibbs)  # (8,)
    joint = after[:, None] * np.exp([log_below(module.down[0], v, bits) for bits in h])  # (8, 16)
    state = (fantasy[1].numpy() @ [4, 2, 1] * 16 + fantasy[0].numpy() @ [8, 4, 2, 1]).astype(int)
    often = joint.ravel() * len(X) > 8
    counts = np.bincount(state, minlength=128)
    counts = np.append(counts[often], counts[~often].sum())
    assert chi_square(counts, np.append(joint.ravel()[often], joint.ravel()[~often].sum())) > 1e-3


def test_bits_are_shown_as_they_are():
    V = (rows("bernoulli") > 0.5).astype(np.float32)
    net = make(max_epochs=1).fit(V)
    data, fantasy = net.sample_views(V)
    np.testing.assert_array_equal(data, V)
    assert fantasy.shape == V.shape
    assert set(np.unique(fantasy)) == {0, 1}


def test_views_of_real_columns_are_in_their_units():
    X = rows("gaussian", 400)
    net = make((16,), 16, n_epochs=10, max_epochs=1).fit(X)
    data, fantasy = net.sample_views(X)
    np.testing.assert_allclose(data, X, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(fantasy.mean(0), X.mean(0), atol=0.3 * X.std(0).max())
    np.testing.assert_allclose(fantasy.std(0), X.std(0), rtol=0.3)


def test_up_down_raises_the_bound_of_rows_it_has_not_seen(digits):
    V = (digits[0][:, 18:46] > 8).astype(np.float32)
    train, test = V[:400], V[400:]
    options = {"hidden": (16,), "n_components": 16, "n_epochs": 30, "rbm": {"lr": 0.05}}
    raises_the_bound(options, {"max_epochs": 20, "lr": 0.01, "batch_size": 32}, train, test)


@pytest.mark.exhaustive
def test_up_down_of_real_columns_raises_the_bound():
    rng = np.random.default_rng(0)
    centres = rng.normal(scale=3, size=(4, 6))
    X = (centres[rng.integers(0, 4, 600)] + rng.normal(size=(600, 6))).astype(np.float32)
    options = {"hidden": (12,), "n_components": 12, "n_epochs": 20}
    raises_the_bound(options, {"max_epochs": 20, "lr": 0.01, "batch_size": 32}, X[:400], X[400:])


def raises_the_bound(options, training, train, test):
    before, after = make(**options).fit(train), make(**options, **training).fit(train)
    settings = {"n_chains": 50, "n_temperatures": 500}
    (bound, error), (raised, its_error) = (net.log_likelihood(test, **settings) for net in (before, after))
    assert raised.mean() > bound.mean() + 0.1 + 3 * (error + its_error)
    losses = [row["train_loss"] for row in after.history_]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.1


# --- the bound -----------------------------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("hidden", [(3,), (3, 2)], ids=str)
def test_the_bound_is_the_enumerated_one_and_below_the_log_probability(kind, hidden):
    net, n_draws = tiny(hidden, kind=kind), 1000
    X = all_bits(N_VISIBLE) if kind == "bernoulli" else rows(kind, 8, seed=1)
    exact = exact_log_probability(net, X)
    if kind == "bernoulli":
        assert np.exp(exact).sum() == pytest.approx(1, rel=1e-5)  # of the reference
    bound, spread = exact_bound(net, X)
    assert (bound < exact).all()
    assert (exact - bound).max() > 0.1
    value, error = net.log_likelihood(X, n_draws=n_draws, n_chains=200, n_temperatures=500)
    assert error < 0.05
    tolerance = 4 * spread / np.sqrt(n_draws) + 4 * error + 1e-4
    assert (np.abs(value - bound) < tolerance).all()
    assert (value < exact + tolerance).all()
    assert np.ptp(value) > 10 * tolerance.mean()


def test_log_likelihood_depends_on_its_random_state_alone():
    net, V = tiny(), all_bits(N_VISIBLE)
    settings = {"n_chains": 10, "n_temperatures": 50, "n_draws": 2}
    first, again, other = (net.log_likelihood(V, random_state=s, **settings).value for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


# --- samples -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(), (3,), (3, 2)], ids=str)
def test_samples_have_the_nets_distribution(hidden):
    net = tiny(hidden, 2)
    drawn = net.sample(10_000, n_steps=200, random_state=0)
    assert drawn.dtype == np.float32
    probability = np.exp(exact_log_probability(net, all_bits(N_VISIBLE)))
    assert chi_square_p(drawn, probability) > 1e-3


def mixture_cdf(x, centres, spread, share):
    return norm.cdf(x[:, None], centres, spread) @ share


def test_real_samples_have_the_nets_distribution():
    net = tiny((3,), kind="gaussian")
    module = net.net_.module_
    drawn = net.sample(5000, n_steps=200, random_state=0)
    mean, scale = moments(net)
    W, b, _, noise = numbers(module.down[0])
    h = all_bits(3)
    share = np.exp(-free_energy(module.top, h) - log_partition(module.top))
    for i in range(N_VISIBLE):
        centres, spread = mean[i] + scale[i] * noise[i] * (b[i] + h @ W[i]), scale[i] * noise[i]
        assert kstest(drawn[:, i], partial(mixture_cdf, centres=centres, spread=spread, share=share)).pvalue > 1e-3


@each_kind
def test_means_instead_of_draws(kind):
    net = tiny((3,), kind=kind)
    module = net.net_.module_
    drawn = net.sample(5000, n_steps=200, means=True, random_state=0)
    mean, scale = moments(net)
    W, b, _, noise = numbers(module.down[0])
    h = all_bits(3)
    given = b + h @ W.T
    expected = mean + scale * (noise * given if kind == "gaussian" else expit(given))  # (8, n_features)
    distance = np.abs(drawn[:, None] - expected).max(2)  # (n_samples, 8)
    assert distance.min(1).max() < 1e-4 * np.abs(expected).max()
    share = np.exp(-free_energy(module.top, h) - log_partition(module.top))
    assert chi_square(np.bincount(distance.argmin(1), minlength=8), share) > 1e-3


def test_samples_depend_on_their_random_state_alone():
    net = tiny()
    first, again, other = (net.sample(50, n_steps=10, random_state=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@each_kind
@pytest.mark.parametrize("hidden", [(), (3,), (3, 2)], ids=str)
def test_inverse_transform_is_layer_by_layer(kind, hidden):
    net = tiny(hidden, kind=kind)
    mean, scale = moments(net)
    Z = net.transform(rows(kind, 7))
    module = net.net_.module_
    expected = np.empty((7, N_VISIBLE))
    for r in range(7):
        state = Z[r].astype(float)
        for machine in [module.top, *list(module.down)[::-1]]:
            W, b, _, noise = numbers(machine)
            below = []
            for i in range(len(b)):
                given = b[i] + sum(W[i, j] * state[j] for j in range(len(state)))
                below.append(noise[i] * given if i < machine.n_gaussian else 1 / (1 + np.exp(-given)))
            state = np.array(below)
        expected[r] = mean + scale * state
    back = net.inverse_transform(Z)
    np.testing.assert_allclose(back, expected, rtol=1e-4, atol=1e-5)
    assert back.dtype == np.float32


# --- files, interruptions, more rows -------------------------------------------------------------------------------


LATER = {
    "log_likelihood": lambda net, V: net.log_likelihood(V, n_chains=10, n_temperatures=100).value,
    "sample": lambda net, V: net.sample(40, n_steps=30, random_state=0),
    "inverse_transform": lambda net, V: net.inverse_transform(np.eye(2)),
    "transform": lambda net, V: net.transform(V),
    "sample_views": lambda net, V: net.sample_views(V)[1],
}


@each_kind
@pytest.mark.parametrize("call", LATER.values(), ids=LATER)
def test_a_loaded_net_says_the_same(call, kind, tmp_path):
    net = tiny(kind=kind, max_epochs=1)
    V = rows(kind) if kind == "gaussian" else rows(kind) > 0.5
    skrep.save(net, tmp_path / "net.skrep")
    np.testing.assert_array_equal(call(skrep.load(tmp_path / "net.skrep"), V), call(net, V))


class Stopped:
    """Counts the epochs that nets train, and presses Ctrl-C at the beginning of one of them."""

    def __init__(self, monkeypatch, at=None):
        self.trained, original = [], Net.notify

        def notify(net, event, **kwargs):
            if event == "on_epoch_begin" and len(self.trained) == at:
                raise KeyboardInterrupt
            if event == "on_epoch_end":
                self.trained.append(net.label)
            original(net, event, **kwargs)

        monkeypatch.setattr(Net, "notify", notify)


EPOCHS = {"n_epochs": 3, "max_epochs": 3}  # of two machines, then up-down: nine in all


@each_kind
@pytest.mark.parametrize("at", [2, 4, 6, 8])
def test_an_interrupted_fit_goes_on_to_the_same_bits(kind, at, tmp_path, monkeypatch):
    X = rows(kind)
    whole = make(**EPOCHS).fit(X)
    interrupted = make(**EPOCHS, checkpoint=tmp_path)
    with monkeypatch.context() as patched:
        stopped = Stopped(patched, at)
        with pytest.raises(KeyboardInterrupt):
            interrupted.fit(X)
    assert not hasattr(interrupted, "net_")
    counted = Stopped(monkeypatch)
    resumed = make(**EPOCHS, checkpoint=tmp_path).fit(X)
    assert stopped.trained + counted.trained == ["RBMEncoder"] * 6 + ["DeepBeliefEncoder"] * 3
    assert same(weights(resumed), weights(whole))
    assert resumed.history_ == whole.history_
    assert resumed.resumed_from_ == ((at - 6, 0) if at >= 6 else None)


@pytest.mark.parametrize("random_state", [0, None])
@pytest.mark.parametrize("max_epochs", [0, 2])
def test_a_finished_fit_is_loaded(max_epochs, random_state, tmp_path, monkeypatch):
    X = rows("bernoulli")
    options = {"max_epochs": max_epochs, "random_state": random_state, "checkpoint": tmp_path}
    first = make(**options).fit(X)
    counted = Stopped(monkeypatch)
    again = make(**options).fit(X)
    assert counted.trained == []
    assert same(weights(again), weights(first))


def test_without_a_seed_an_interrupted_stack_keeps_the_one_it_drew(tmp_path, monkeypatch):
    X = rows("bernoulli")
    with monkeypatch.context() as patched:
        Stopped(patched, 4)
        with pytest.raises(KeyboardInterrupt):
            make(**EPOCHS, random_state=None, checkpoint=tmp_path).fit(X)
    counted = Stopped(monkeypatch)
    make(**EPOCHS, random_state=None, checkpoint=tmp_path).fit(X)
    assert len(counted.trained) == 5


@pytest.mark.parametrize(
    "ignored", [{"verbose": 0}, {"random_state": 1}, {"device": "cpu"}, {"n_components": 9}], ids=str
)
def test_what_the_stack_overrides_does_not_make_another_run(ignored, tmp_path):
    X = rows("bernoulli")
    make(max_epochs=1, checkpoint=tmp_path, rbm={"verbose": 1, "n_components": 8}).fit(X)
    again = make(max_epochs=1, checkpoint=tmp_path, rbm={"verbose": 1, "n_components": 8} | ignored).fit(X)
    assert again.resumed_from_ == (1, 0)


@pytest.mark.parametrize("change", [{"n_gibbs": 2}, {"max_epochs": 2}, {"lr": 0.01}], ids=str)
def test_other_machines_are_another_run(change, tmp_path):
    X = rows("bernoulli")
    make(max_epochs=1, checkpoint=tmp_path).fit(X)
    other = make(max_epochs=1, checkpoint=tmp_path, rbm=change).fit(X)
    assert other.resumed_from_ is None
    assert same(weights(other), weights(make(max_epochs=1, rbm=change).fit(X)))


def test_warm_start_does_not_train_the_machines_again(monkeypatch):
    X = rows("bernoulli")
    net = make(warm_start=True).fit(X)
    first = weights(net)
    counted = Stopped(monkeypatch)
    net.fit(X)
    assert counted.trained == []
    assert same(weights(net), first)
    net.set_params(max_epochs=2).fit(X)
    assert counted.trained == ["DeepBeliefEncoder"] * 2
    assert same(weights(net), weights(make(max_epochs=2).fit(X)))
    third = make(max_epochs=2, warm_start=True)
    third.fit(X).fit(X)
    assert third.n_epochs_ == 4
    assert not same(weights(third), weights(net))


@pytest.mark.parametrize("max_epochs", [0, 2])
def test_partial_fit_is_a_fit_of_the_machines_and_then_one_pass(max_epochs, monkeypatch):
    X, more = rows("bernoulli"), rows("bernoulli", seed=1)
    counted = Stopped(monkeypatch)
    net = make(max_epochs=max_epochs, lr=0.003).partial_fit(X)
    assert counted.trained == ["RBMEncoder"] * 2 + ["DeepBeliefEncoder"]
    fitted = make(lr=0.003).fit(X).set_params(max_epochs=max_epochs).partial_fit(X)
    assert same(weights(net), weights(fitted))
    assert not same(weights(net), weights(make().fit(X)))
    counted.trained.clear()
    net.partial_fit(more)
    assert counted.trained == ["DeepBeliefEncoder"]
    assert net.n_epochs_ == 2
    assert {row["lr"] for row in net.history_} == {0.003}


@each_kind
@pytest.mark.parametrize("max_epochs", [0, 2])
def test_held_out_rows_are_seen_by_no_layer(kind, max_epochs):
    X = rows(kind)
    net = make((9,), 5, max_epochs=max_epochs, validation_fraction=0.2)
    positions = ArraySource(np.arange(len(X), dtype=np.float32)[:, None])
    train, valid = (part.chunk(0, len(part)).ravel().long().numpy() for part in split(net, positions, 0))
    assert sorted([*train, *valid]) == list(range(60))
    assert len(valid) == 12
    expected = net.fit(X)
    first, history = weights(expected), expected.history_
    changed = X.copy()
    changed[valid] = changed[valid[::-1]] * 0.5 + 0.25
    net.fit(changed)
    assert same(weights(net), first)
    if max_epochs:
        assert [row["train_loss"] for row in net.history_] == [row["train_loss"] for row in history]
        assert [row["valid_loss"] for row in net.history_] != [row["valid_loss"] for row in history]
    changed = X.copy()
    changed[train[0]] *= 0.5
    assert not same(weights(net.fit(changed)), first)
    without = make((9,), 5).fit(X[train])
    if not max_epochs:
        assert same(weights(without), first)


# --- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"hidden": (0,)}, r"hidden=\(0,\).* a whole number of at least 1"),
        ({"hidden": 5}, r"hidden=5.* must be a list or tuple"),
        ({"hidden": (2.5,)}, r"hidden=\(2.5,\)"),
        ({"n_components": 0}, "n_components=0"),
        ({"max_epochs": -1}, r"max_epochs=-1\b.*\b0\b"),
        ({"max_epochs": None}, "max_epochs=None"),
        ({"rbm": PCAEncoder()}, r"rbm=PCAEncoder\(\).* RBMEncoder"),
        ({"rbm": RBMEncoder}, "rbm=<class .*RBMEncoder'>"),
        ({"rbm": RBMEncoder(n_gibbs=0)}, "n_gibbs=0"),
        ({"rbm": RBMEncoder(n_chains=-3)}, r"n_chains=-3\b.*\b1\b"),
        ({"rbm": RBMEncoder(n_chains="many")}, r"n_chains='many'.*\b1\b"),
        ({"rbm": RBMEncoder(n_chains=5, persistent=False)}, "n_chains=5, persistent=False"),
        ({"rbm": RBMEncoder(visible="binary")}, "visible='binary'"),
        ({"rbm": RBMEncoder(averaging=1)}, "averaging=1"),
    ],
    ids=str,
)
def test_bad_parameters(bad, message):
    net = DeepBeliefEncoder(**{"n_components": 2, "hidden": (3,), "rbm": RBMEncoder(max_epochs=1)} | bad)
    with pytest.raises(ValueError, match=message):
        net.fit(rows("bernoulli"))
    assert not hasattr(net, "net_")


def test_more_rows_of_bits_that_are_none():
    net = make().fit(rows("bernoulli"))
    before = weights(net)
    with pytest.raises(ValueError, match=r"DeepBeliefEncoder.*Bernoulli.*\[0, 1\]"):
        net.partial_fit(10 * rows("bernoulli"))
    assert same(weights(net), before)


def test_constant_columns():
    X = rows("gaussian")
    X[:, 2] = 7
    with pytest.raises(ValueError, match=r"\b1\b.*\b4\b.*constant.*\b2\b.*VarianceThreshold"):
        make().fit(X)
    with pytest.raises(ValueError, match=r"Bernoulli.*\[0, 1\]"):
        make(rbm={"visible": "bernoulli"}).fit(X)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: net.log_likelihood(np.eye(4), n_draws=0), r"n_draws=0\b.*\b1\b"),
        (lambda net: net.log_likelihood(np.eye(4), n_chains=1), r"n_chains=1\b.*\b2\b"),
        (lambda net: net.log_likelihood(np.eye(4), n_temperatures=1.5), "n_temperatures=1.5"),
        (lambda net: net.log_likelihood(np.eye(5)), "5 features, but DeepBeliefEncoder is expecting 4"),
        (lambda net: net.sample(0), "n_samples=0"),
        (lambda net: net.sample(2, n_steps=0), "n_steps=0"),
        (
            lambda net: net.inverse_transform(np.zeros((3, 4))),
            r"\b4\b.*DeepBeliefEncoder.*\b2\b",
        ),
        (lambda net: net.inverse_transform([[np.nan, 1]]), "NaN"),
    ],
)
def test_bad_arguments(call, message):
    net = tiny()
    with pytest.raises(ValueError, match=message):
        call(net)


@pytest.mark.parametrize("how", ["pretraining", "up-down", "data"])
def test_a_failed_fit_leaves_the_net_as_it_was(how, monkeypatch):
    X = rows("bernoulli")
    net = make(**EPOCHS, warm_start=how == "up-down").fit(X)
    before, history = weights(net), net.history_
    if how == "data":
        with pytest.raises(ValueError, match="NaN"):
            net.fit(np.full((9, 4), np.nan))
    else:
        Stopped(monkeypatch, 1 if how == "up-down" else 4)
        with pytest.raises(KeyboardInterrupt):
            net.fit(rows("bernoulli", seed=1))
    assert same(weights(net), before)
    assert net.history_ == history
    assert net.n_features_in_ == 4
