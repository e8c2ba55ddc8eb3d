"""FastICAEncoder is scikit-learn's FastICA, by scikit-learn's own tests, with promises added."""

import itertools
import math
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import skrep
from skrep.decomposition import FastICAEncoder, ica
from skrep.solvers.independent_components import LEAST_SKEWNESS, Cube, Exp, LogCosh, by_negentropy, gaussian_mean
from tests.naming import named

ROOT = Path(__file__).parents[2]

# --- scikit-learn's ---------------------------------------------------------------------------------------------------


@pytest.mark.exhaustive
def test_scikit_learns_own_tests(tmp_path):
    # in a process of its own: the swap is for the whole interpreter
    command = [
        *(sys.executable, "-m", "pytest", "-p", "tests.decomposition.swapped_ica", "-p", "no:cacheprovider", "-q"),
        *("-c", str(tmp_path / "empty.ini"), "--rootdir", str(tmp_path)),
        *("--pyargs", "sklearn.decomposition.tests.test_fastica"),
    ]
    (tmp_path / "empty.ini").write_text("[pytest]\n")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 25
    assert "failed" not in done.stdout


@pytest.mark.filterwarnings("ignore:.*did not converge", "ignore:.*n_components is too large")
@parametrize_with_checks([FastICAEncoder(), FastICAEncoder(2, order="negentropy", whiten_solver="eigh")])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def g_of_the_user(y, power=3):
    return y**power, (power * y ** (power - 1)).mean(axis=-1)


@pytest.fixture(params=["NumPy", "torch"])
def library(request, monkeypatch):
    if request.param == "torch":  # what runs on CUDA, here
        monkeypatch.setattr(ica, "as_signals", lambda tensor: tensor)
    elif request.param == "picard":
        pytest.importorskip("picard")
    return request.param


def mixture(kind, seed=0, n_samples=4000, n_sources=6, n_features=None):
    """Rows, and the matrix that mixed them."""
    rng = np.random.default_rng(seed)
    if kind == "laplace":
        sources = rng.laplace(size=(n_samples, n_sources))
    elif kind == "uniform":
        sources = rng.uniform(-1, 1, size=(n_samples, n_sources))
    elif kind == "square waves":
        sources = np.sign(np.sin(np.arange(n_samples)[:, None] * np.sqrt([2, 3, 5, 7, 11, 13])[:n_sources] / 30))
    else:  # some are far from Gaussian and some are near, some skewed
        kinds = [rng.exponential, rng.laplace, lambda size: rng.uniform(size=size), lambda size: rng.beta(2, 3, size)]
        sources = np.stack([kinds[i % 4](size=n_samples) for i in range(n_sources)], axis=1)
    mixing = rng.normal(size=(n_features or n_sources, n_sources))
    return sources @ mixing.T + 3, mixing


def amari(unmixing, mixing):
    """0 where the product is a permutation, up to scale (Amari, Cichocki & Yang 1996)."""
    P = np.abs(unmixing.astype(np.float64) @ mixing)
    rows = (P / P.max(1, keepdims=True)).sum(1) - 1
    columns = (P / P.max(0, keepdims=True)).sum(0) - 1
    return (rows.sum() + columns.sum()) / (2 * len(P) * (len(P) - 1))


@pytest.mark.parametrize("whiten_solver", ["svd", "eigh"])
@pytest.mark.parametrize("whiten", ["unit-variance", "arbitrary-variance", False])
@pytest.mark.parametrize("algorithm", ["parallel", "deflation"])
@pytest.mark.parametrize(
    ("fun", "library"),
    [*itertools.product(["logcosh", "exp", "cube"], ["NumPy", "torch"]), (g_of_the_user, "NumPy")],
    indirect=["library"],
)
def test_same_numbers_as_scikit_learn(fun, algorithm, whiten, whiten_solver, library):
    X, _ = mixture("mixed", n_samples=1000)
    X = np.linalg.qr(X - X.mean(0))[0] * math.sqrt(len(X)) if not whiten else X
    start = np.random.default_rng(1).normal(size=(6, 6))
    settings = {"fun": fun, "algorithm": algorithm, "whiten": whiten, "whiten_solver": whiten_solver, "tol": 1e-6}
    ours, theirs = (cls(w_init=start, **settings).fit(X) for cls in (FastICAEncoder, FastICA))
    names = ["components_", "mixing_"] + ["mean_", "whitening_"] * bool(whiten)
    for name in names:
        expected = getattr(theirs, name)
        np.testing.assert_allclose(getattr(ours, name), expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert ours.n_iter_ == theirs.n_iter_
    assert hasattr(ours, "mean_") == hasattr(ours, "whitening_") == bool(whiten)
    np.testing.assert_allclose(ours.transform(X), theirs.transform(X), atol=1e-4)
    np.testing.assert_allclose(ours.fit_transform(X), ours.transform(X), atol=1e-9)
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(X)), X, atol=1e-8)


@pytest.mark.parametrize("random_state", [3, np.random.RandomState(3)], ids=["int", "RandomState"])
def test_a_seed_gives_scikit_learns_start(random_state):
    X, _ = mixture("laplace")
    ours = FastICAEncoder(random_state=random_state).fit(X)
    np.testing.assert_allclose(ours.components_, FastICA(random_state=3).fit(X).components_, atol=1e-9)
    np.testing.assert_allclose(
        FastICAEncoder(random_state=3, fun_args={"alpha": 1.5}).fit(X).components_,
        FastICA(random_state=3, fun_args={"alpha": 1.5}).fit(X).components_,
        atol=1e-9,
    )


@pytest.mark.parametrize("library", ["NumPy", "torch", "picard"], indirect=True)
@pytest.mark.parametrize("kind", ["laplace", "uniform", "square waves", "mixed"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_planted_sources_are_found_as_well_as_by_scikit_learn(kind, dtype, library):
    solver = "picard" if library == "picard" else "fastica"
    for seed in range(3):
        X, mixing = mixture(kind, seed, n_features=9)
        X = X.astype(dtype)
        ours = FastICAEncoder(6, solver=solver, random_state=seed, tol=1e-6).fit(X)
        theirs = FastICA(6, random_state=seed, tol=1e-6).fit(X)
        distance = amari(ours.components_, mixing)
        assert distance < 0.05
        assert distance <= 1.001 * amari(theirs.components_, mixing) + 1e-5
        assert ours.transform(X).dtype == ours.components_.dtype == ours.mean_.dtype == ours.mixing_.dtype == dtype


def test_planted_sources_beat_what_whitening_finds():
    X, mixing = mixture("laplace")
    assert 10 * amari(FastICAEncoder(random_state=0).fit(X).components_, mixing) < amari(
        skrep.PCAEncoder().fit(X).components_, mixing
    )


def test_accurate_where_squares_lose_digits():
    X, mixing = mixture("laplace", n_features=6)
    scales = np.logspace(0, -6, 6)
    encoder = FastICAEncoder(random_state=0).fit(X * scales)
    expected = FastICAEncoder(random_state=0, tol=1e-10).fit(X)
    assert amari(encoder.components_, scales[:, None] * mixing) < 1.01 * amari(expected.components_, mixing)
    np.testing.assert_allclose(encoder.inverse_transform(encoder.transform(X * scales)), X * scales, rtol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_cuda(dtype):
    X, _ = mixture("mixed")
    on_cuda, on_cpu = (
        FastICAEncoder(order="negentropy", random_state=0, device=device).fit_transform(X.astype(dtype))
        for device in ("cuda", "cpu")
    )
    np.testing.assert_allclose(on_cuda, on_cpu, atol=1e-4)


# --- order ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fun", ["logcosh", "exp", "cube"])
@pytest.mark.parametrize("whiten", ["unit-variance", "arbitrary-variance", False])
def test_order_does_not_depend_on_the_seed(fun, whiten, library):
    X, _ = mixture("mixed", n_samples=20_000)
    X = np.linalg.qr(X - X.mean(0))[0] * math.sqrt(len(X)) if not whiten else X
    settings = {"fun": fun, "whiten": whiten, "tol": 1e-8}
    first, *others = (
        FastICAEncoder(random_state=seed, order="negentropy", **settings).fit(X) for seed in (0, 1, 2, None)
    )
    features = first.transform(X)
    for other in others:
        np.testing.assert_allclose(other.transform(X), features, atol=1e-4 * np.abs(features).max())
        np.testing.assert_allclose(other.mixing_, first.mixing_, atol=1e-4 * np.abs(first.mixing_).max())
    np.testing.assert_allclose(first.fit_transform(X), features, atol=1e-9)
    np.testing.assert_allclose(first.inverse_transform(features), X, atol=1e-8)

    # the same components as without, in another order and with other signs
    plain = FastICAEncoder(random_state=0, **settings).fit(X)
    matched = np.abs(plain.components_ @ first.mixing_)
    np.testing.assert_allclose(np.sort(matched, axis=0)[-1], 1, atol=1e-6)
    assert sorted(matched.argmax(0)) == list(range(6))


def test_order_is_by_negentropy_and_sign_by_skewness():
    X, _ = mixture("mixed", n_samples=20_000)
    features = FastICAEncoder(order="negentropy", random_state=0).fit_transform(X)
    gaussian = 0.37456720749143796  # E[log cosh] of a standard normal variable, by quadrature
    negentropy = (np.log(np.cosh(features / features.std(0))).mean(0) - gaussian) ** 2
    assert (np.diff(negentropy) < 0).all()
    skewness = ((features - features.mean(0)) ** 3).mean(0) / features.std(0) ** 3
    assert (skewness > -LEAST_SKEWNESS).all()


def test_sign_of_symmetric_components_is_that_of_the_largest_weight():
    half = np.random.default_rng(0).laplace(size=(2000, 3)) @ np.random.default_rng(1).normal(size=(3, 3))
    X = np.concatenate([half, -half])  # no skewness at all
    for seed in range(4):
        components = FastICAEncoder(order="negentropy", random_state=seed).fit(X).components_
        assert (components[range(3), np.abs(components).argmax(1)] > 0).all()


@pytest.mark.parametrize(
    ("contrast", "expected"),
    [(LogCosh(1.0), 0.374567207491438), (Exp(), -1 / math.sqrt(2)), (Cube(), 3 / 4)],
    ids=["logcosh", "exp", "cube"],
)
def test_a_gaussian_variable_has_no_negentropy(contrast, expected):
    nodes, weights = np.polynomial.hermite_e.hermegauss(150)
    assert contrast.G(nodes) @ weights / math.sqrt(2 * math.pi) == pytest.approx(expected, abs=1e-9)
    y = np.random.default_rng(0).normal(size=(2, 400_000))
    y[1] = np.random.default_rng(1).laplace(size=400_000)
    order, _ = by_negentropy(y[::-1] * 7 - 2, np.eye(2), contrast)
    assert order.tolist() == [0, 1]
    # g is the derivative of G, and its slope that of g
    at, h = np.linspace(-3, 3, 41), 1e-5
    g, slope = contrast.g(at[None].copy())
    np.testing.assert_allclose(g[0], (contrast.G(at + h) - contrast.G(at - h)) / (2 * h), atol=1e-8)
    high, low = (contrast.g(at[None] + d)[0] for d in (h, -h))
    np.testing.assert_allclose(slope, ((high - low) / (2 * h)).mean(1), atol=1e-8)


def test_gaussian_constant_for_every_alpha():
    for alpha in (1.0, 1.7, 2.0):
        G = LogCosh(alpha).G
        y = np.linspace(-12, 12, 200_001)
        expected = np.trapezoid(G(y) * np.exp(-y * y / 2), y) / math.sqrt(2 * math.pi)
        assert gaussian_mean(G) == pytest.approx(expected, abs=1e-10)


# --- picard -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fun", ["logcosh", "exp", "cube"])
@pytest.mark.parametrize("whiten", ["unit-variance", False])
def test_picard_has_the_solutions_of_fastica(fun, whiten):
    pytest.importorskip("picard")
    X, _ = mixture("mixed", n_samples=20_000)
    X = np.linalg.qr(X - X.mean(0))[0] * math.sqrt(len(X)) if not whiten else X
    settings = {"order": "negentropy", "fun": fun, "whiten": whiten, "tol": 1e-9, "random_state": 0, "max_iter": 500}
    picard, fastica = (FastICAEncoder(solver=solver, **settings).fit(X) for solver in ("picard", "fastica"))
    np.testing.assert_allclose(picard.transform(X), fastica.transform(X), atol=1e-4)
    assert vars(picard).keys() == vars(fastica).keys()


def test_picard_warns_where_it_does_not_converge():
    pytest.importorskip("picard")
    X, _ = mixture("laplace")
    with pytest.warns(ConvergenceWarning, match=r"gradient norm.*0\.\d+.*1e-12.*max_iter"):
        FastICAEncoder(solver="picard", max_iter=2, tol=1e-12, random_state=0).fit(X)


def test_picard_that_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "picard", None)
    encoder = FastICAEncoder(solver="picard")
    with pytest.raises(ImportError, match="pip install python-picard"):
        encoder.fit(mixture("laplace")[0])
    assert not [name for name in vars(encoder) if name.endswith("_")]


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["parallel", "deflation"])
def test_non_convergence_says_what_to_do(algorithm, library):
    X = np.random.default_rng(0).normal(size=(300, 8))  # Gaussian: nothing to find
    with pytest.warns(ConvergenceWarning, match=r"\b3 iterations.*\d\.\d+.*\btol\b.*1e-08.*max_iter.*n_components"):
        encoder = FastICAEncoder(algorithm=algorithm, max_iter=3, tol=1e-8, random_state=0).fit(X)
    assert encoder.n_iter_ == 3
    assert np.isfinite(encoder.transform(X)).all()


def test_warnings_point_at_the_caller():
    with pytest.warns(ConvergenceWarning) as caught:
        FastICAEncoder(max_iter=1, random_state=0).fit(mixture("laplace")[0])
    assert caught[0].filename == __file__


def low_rank(dtype):
    X, _ = mixture("laplace", n_sources=3, n_features=6, n_samples=500)
    return X.astype(dtype)


@pytest.mark.parametrize("whiten_solver", ["svd", "eigh"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("make", "rank"),
    [
        (low_rank, 3),
        (lambda dtype: np.c_[np.full(500, 0.1), mixture("laplace", n_samples=500, n_sources=2)[0]].astype(dtype), 2),
        (lambda dtype: mixture("laplace", n_samples=5)[0].astype(dtype), 4),
        (lambda dtype: np.tile(np.arange(12.0)[:, None], 3).astype(dtype), 1),
    ],
    ids=["low rank", "constant first column", "few rows", "equal columns"],
)
def test_components_are_no_more_than_the_rank(make, rank, dtype, whiten_solver):
    X = make(dtype)
    encoder = FastICAEncoder(whiten_solver=whiten_solver, random_state=0, max_iter=500, tol=0.01)
    with pytest.warns(UserWarning, match=rf"rank {rank}\b.*n_components.*\b{rank}\b"):
        features = encoder.fit_transform(X)
    assert features.shape == (len(X), rank)
    np.testing.assert_allclose(features.var(0), 1, rtol=1e-4)
    np.testing.assert_allclose(encoder.inverse_transform(features), X, atol=2e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.set_params(n_components=rank).fit(X)


def test_more_components_than_columns():
    X, _ = mixture("laplace")
    with pytest.warns(UserWarning, match=r"n_components=9\b.*rank 6\b.*n_components.*\b6\b"):
        assert FastICAEncoder(9, random_state=0).fit_transform(X).shape == (4000, 6)


@pytest.mark.parametrize("whiten_solver", ["svd", "eigh"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e18])
def test_rows_that_are_all_equal(value, whiten_solver):
    with pytest.raises(ValueError, match=r"\bX\b.*\bvariance\b.*StandardScaler"):
        FastICAEncoder(whiten_solver=whiten_solver).fit(np.full((50, 3), value))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("whiten_solver", ["svd", "eigh"])
def test_scale_does_not_matter_until_squares_overflow(dtype, whiten_solver):
    X, _ = mixture("laplace", n_samples=500)
    X = X.astype(dtype)
    settings = {"whiten_solver": whiten_solver, "random_state": 0, "tol": 0.01}
    expected = FastICAEncoder(**settings).fit_transform(X)
    far = 1e120 if dtype == np.float64 else 1e14
    for scale in (dtype(1 / far), dtype(far)):
        np.testing.assert_allclose(FastICAEncoder(**settings).fit_transform(X * scale), expected, atol=1e-3)


def test_overflow_is_an_error_and_changes_nothing(table):
    encoder = FastICAEncoder(2, random_state=0, tol=0.1).fit(table)
    before = pickle.dumps(encoder)
    for X in (table.astype(np.float64) * 1e200, table * np.float32(1e37)):
        for call in (encoder.fit, encoder.fit_transform, encoder.transform):
            with pytest.raises(ValueError, match=r"\bsquares\b.*StandardScaler"):
                call(X)
    assert pickle.dumps(encoder) == before


BAD = [
    ({"whiten": True}, "whiten=True"),
    ({"fun_args": {"alpha": 3}}, r"fun_args=.'alpha': 3.*\[1, ?2\]"),
    ({"fun_args": {"alpha": "one"}}, r"fun_args=.'alpha': 'one'.*\[1, ?2\]"),
    ({"w_init": np.eye(3)}, r"w_init.*\(6, 6\).*\(3, 3\)"),
    ({"w_init": np.zeros((6, 6))}, "w_init.*linearly independent"),
    ({"w_init": np.full((6, 6), np.nan)}, "w_init.*finite"),
    ({"w_init": "eye"}, "w_init.*'eye'"),
    ({"fun": np.tanh}, "fun=<ufunc 'tanh'>.*tuple"),
    ({"fun": lambda y: (y, y[0])}, "fun=<function .*tuple"),
    ({"fun": lambda y: (np.nan * y, y[:, 0])}, r"\bfun\b.*NaN"),
    ({"fun": lambda y: (np.nan * y, y[:, 0]), "algorithm": "deflation"}, r"\bfun\b.*NaN"),
    ({"fun": g_of_the_user, "order": "negentropy"}, 'order="negentropy".*solver="picard".*fun="logcosh"'),
    ({"fun": g_of_the_user, "solver": "picard"}, 'order="negentropy".*solver="picard".*fun="logcosh"'),
    ({"algorithm": "deflation", "solver": "picard"}, 'solver="picard".*algorithm.*"parallel"'),
    ({"device": "abacus"}, "device='abacus'"),
    ({"tol": -1.0}, r"tol=-1\.0"),
    ({"n_components": 0}, r"n_components=0\b"),
]


@pytest.mark.parametrize(("settings", "message"), BAD, ids=[named(settings) for settings, _ in BAD])
def test_bad_parameters(settings, message):
    encoder = FastICAEncoder(**settings)
    with pytest.raises(ValueError, match=message):
        encoder.fit(mixture("laplace", n_samples=100)[0])
    assert not [name for name in vars(encoder) if name.endswith("_")]


def test_too_few_rows():
    X, _ = mixture("laplace", n_samples=100)
    with pytest.raises(ValueError, match="1 sample"):
        FastICAEncoder().fit(X[:1])
    with pytest.raises(ValueError, match=r"whiten=False\).*\b3\b.*\b6\b"):
        FastICAEncoder(whiten=False).fit(X[:3])


def test_a_start_that_the_first_step_makes_singular():
    half = np.random.default_rng(0).laplace(size=(500, 2))
    X = np.linalg.qr(np.concatenate([half, -half]))[0] * math.sqrt(1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        encoder = FastICAEncoder(whiten=False, fun=lambda y: (np.zeros_like(y), np.array([1.0, 0.0])), random_state=0)
        W = encoder.fit(X).components_
    np.testing.assert_allclose(W @ W.T, np.eye(2), atol=1e-12)


# --- what goes in and out ---------------------------------------------------------------------------------------------


def test_a_refit_leaves_nothing_of_the_former():
    X, _ = mixture("laplace")
    encoder = FastICAEncoder(random_state=0).fit(X).set_params(whiten=False)
    white = np.linalg.qr(X - X.mean(0))[0] * math.sqrt(len(X))
    assert not {"mean_", "whitening_"} & vars(encoder.fit(white)).keys()


def test_memory_maps_datasets_tensors_and_layouts(tmp_path):
    X, _ = mixture("laplace", n_samples=500)
    X = X.astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    frozen = X.copy()
    frozen.flags.writeable = False
    expected = FastICAEncoder(random_state=0).fit(X)
    for made in (
        np.load(tmp_path / "X.npy", mmap_mode="r"),
        torch.from_numpy(X),
        torch.utils.data.TensorDataset(torch.from_numpy(X)),
        frozen,
        np.asfortranarray(X),
        X[::-1][::-1],
    ):
        encoder = FastICAEncoder(random_state=0).fit(made)
        np.testing.assert_array_equal(encoder.components_, expected.components_)
        np.testing.assert_array_equal(encoder.transform(made), expected.transform(X))


@pytest.mark.parametrize("whiten", ["unit-variance", False])
def test_fit_and_transform_do_not_write_to_X(whiten):
    X, _ = mixture("laplace", n_samples=500)
    X = np.linalg.qr(X - X.mean(0))[0] * math.sqrt(len(X))
    before = X.copy()
    encoder = FastICAEncoder(whiten=whiten, random_state=0)
    encoder.fit_transform(X)
    encoder.transform(X)
    np.testing.assert_array_equal(X, before)


def test_save_and_load(tmp_path):
    X, _ = mixture("laplace", n_samples=500)
    encoder = FastICAEncoder(4, order="negentropy", w_init=np.eye(4), fun_args={"alpha": 1.5}, tol=0.01).fit(X)
    skrep.save(encoder, tmp_path / "file")
    loaded = skrep.load(tmp_path / "file")
    np.testing.assert_array_equal(loaded.transform(X), encoder.transform(X))
    np.testing.assert_array_equal(loaded.inverse_transform(np.eye(4)), encoder.inverse_transform(np.eye(4)))
    assert repr(loaded) == repr(encoder)


def test_whiten_changed_after_fit():
    X = np.random.default_rng(0).laplace(size=(300, 4)) + 5
    fitted = FastICAEncoder(random_state=0).fit(X)
    expected = fitted.transform(X)
    fitted.set_params(whiten=False)
    np.testing.assert_array_equal(fitted.transform(X), expected)
    np.testing.assert_allclose(fitted.inverse_transform(expected), X)


def test_features_of_another_width():
    fitted = FastICAEncoder(2, random_state=0).fit(np.random.default_rng(0).laplace(size=(300, 4)))
    with pytest.raises(ValueError, match=r"X .*\b3\b.*FastICAEncoder.*\b2\b"):
        fitted.inverse_transform(np.zeros((5, 3)))
