"""SparseCoder: codes of a given dictionary, learning, streams, degenerate data."""

import copy
import pickle
import random
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import decomposition
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from torch.utils.data import TensorDataset

import skrep
from skrep import SparseCoder
from skrep.data import matrix
from skrep.sparse import coder as module

ROOT = Path(__file__).parents[2]


def planted(seed, n=3000, n_atoms=50, n_features=30, n_nonzero=3, snr=25.0):
    """Rows that are combinations of a few unit atoms, with noise (SNR in decibels), and the atoms."""
    rng = np.random.default_rng(seed)
    D = rng.normal(size=(n_atoms, n_features))
    D /= np.linalg.norm(D, axis=1, keepdims=True)
    Z = np.zeros((n, n_atoms))
    for z in Z:
        signs = rng.choice([-1, 1], n_nonzero)
        z[rng.choice(n_atoms, n_nonzero, replace=False)] = rng.uniform(0.5, 1.5, n_nonzero) * signs
    X = Z @ D
    return X + rng.normal(size=X.shape) * np.sqrt((X**2).mean() / 10 ** (snr / 10)), D


def share_found(learned, D):
    """Atoms that a learned one is alike, up to its sign."""
    return (np.abs(D @ learned.T).max(1) > 0.97).mean()


def dictionary(seed=0, n_atoms=40, n_features=64):
    D = np.random.default_rng(seed).normal(size=(n_atoms, n_features))
    return D / np.linalg.norm(D, axis=1, keepdims=True)


def objective(X, Z, D, alpha):
    return ((X - Z @ D) ** 2).sum(1).mean() / 2 + alpha * np.abs(Z).sum(1).mean()


def state(estimator):
    return pickle.dumps(
        {name: value for name, value in vars(estimator).items() if name.endswith("_") or name[0] == "_"}
    )


# --- codes of a given dictionary --------------------------------------------------------------------------------------


@pytest.mark.parametrize("split_sign", [False, True])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("algorithm", ["lasso", "omp", "threshold"])
def test_codes_of_scikit_learn(algorithm, positive, split_sign, digits):
    X, D = digits[0][:50] / 16, dictionary()
    peer = {
        "lasso": {"transform_algorithm": "lasso_cd", "transform_alpha": 0.4, "transform_max_iter": 10_000},
        "omp": {"transform_algorithm": "omp", "transform_n_nonzero_coefs": 5},
        "threshold": {"transform_algorithm": "threshold", "transform_alpha": 0.4},
    }[algorithm]
    ours = SparseCoder(dictionary=D, algorithm=algorithm, alpha=0.4, n_nonzero_coefs=5, positive=positive)
    ours.set_params(split_sign=split_sign)
    if positive and algorithm == "omp":
        with pytest.raises(ValueError, match="positive=True, algorithm='omp'"):
            ours.fit(X)
        return
    theirs = decomposition.SparseCoder(D, **peer, positive_code=positive, split_sign=split_sign)
    Z, expected = ours.fit(X).transform(X), theirs.fit(X).transform(X)
    assert Z.shape == (50, 80 if split_sign else 40)
    np.testing.assert_array_equal(ours.components_, D)
    if algorithm == "lasso":  # theirs are less exact
        np.testing.assert_allclose(Z, expected, atol=0.02)
        atoms = np.vstack([D, -D]) if split_sign else D
        assert objective(X, Z, atoms, 0.4) <= objective(X, expected, atoms, 0.4) * (1 + 1e-9)
    else:
        np.testing.assert_allclose(Z, expected, atol=1e-9)


def test_threshold_formula(digits):
    X, D = digits[0][:50], dictionary()
    Z = SparseCoder(dictionary=D, algorithm="threshold", alpha=3.0).fit_transform(X)
    expected = [[np.sign(x @ d) * max(abs(x @ d) - 3.0, 0) for d in D] for x in X]
    np.testing.assert_allclose(Z, expected, atol=1e-12)
    positive = SparseCoder(dictionary=D, algorithm="threshold", alpha=3.0, positive=True).fit_transform(X)
    np.testing.assert_allclose(positive, np.maximum(expected, 0), atol=1e-12)


@pytest.mark.parametrize(("algorithm", "factor"), [("lasso", 1.2), ("threshold", 0.25)])
def test_default_alpha(algorithm, factor, digits):
    X, _ = digits
    for scale in (1, 1e-6, 1e6):
        coder = SparseCoder(dictionary=dictionary(), algorithm=algorithm).fit(scale * X)
        assert coder.alpha_ == pytest.approx(factor * scale * np.sqrt((X**2).mean()))
        expected = SparseCoder(dictionary=dictionary(), algorithm=algorithm).fit_transform(X)
        np.testing.assert_allclose(coder.transform(scale * X) / scale, expected, atol=1e-8)
    assert SparseCoder(dictionary=dictionary(), algorithm="omp").fit(X).alpha_ == 0
    patches = X / np.linalg.norm(X, axis=1, keepdims=True)
    assert SparseCoder(dictionary=dictionary()).fit(patches).alpha_ == pytest.approx(0.15)


def test_default_number_of_atoms_for_omp(digits):
    X, _ = digits
    assert (SparseCoder(dictionary=dictionary(), algorithm="omp").fit_transform(X) != 0).sum(1).max() == 6  # 64 / 10
    few = SparseCoder(dictionary=np.eye(3), algorithm="omp").fit_transform(X[:, 10:13])
    assert (few != 0).sum(1).max() == 1
    all_of_them = SparseCoder(dictionary=np.eye(3), algorithm="omp", n_nonzero_coefs=10).fit_transform(X[:, 10:13])
    np.testing.assert_allclose(all_of_them, X[:, 10:13])


@pytest.mark.parametrize("algorithm", ["lasso", "omp", "threshold"])
def test_split_sign_and_inverse(algorithm, digits):
    X = digits[0][:50] - 5
    plain = SparseCoder(dictionary=dictionary(), algorithm=algorithm).fit(X)
    split = SparseCoder(dictionary=dictionary(), algorithm=algorithm, split_sign=True).fit(X)
    Z = plain.transform(X)
    np.testing.assert_array_equal(split.transform(X), np.hstack([np.maximum(Z, 0), np.maximum(-Z, 0)]))
    assert len(split.get_feature_names_out()) == 80
    assert split.get_feature_names_out()[79] == "sparsecoder79"
    np.testing.assert_allclose(plain.inverse_transform(Z), Z @ plain.components_)
    np.testing.assert_allclose(split.inverse_transform(split.transform(X)), Z @ plain.components_, atol=1e-12)
    assert plain.inverse_transform(Z.astype(np.float32)).dtype == np.float32
    with pytest.raises(ValueError, match=r"X .*\b40\b.*SparseCoder.*\b80\b"):
        split.inverse_transform(Z)
    with pytest.raises(NotFittedError):
        SparseCoder().inverse_transform(Z)


def test_codes_of_enough_atoms_give_the_rows_back():
    X = np.random.default_rng(0).normal(size=(30, 8))
    omp = SparseCoder(dictionary=dictionary(0, 20, 8), algorithm="omp", n_nonzero_coefs=8).fit(X)
    np.testing.assert_allclose(omp.inverse_transform(omp.transform(X)), X, atol=1e-9)


@pytest.mark.parametrize("algorithm", ["lasso", "omp", "threshold"])
def test_score_is_the_mean_objective(algorithm, digits):
    X, D = digits[0], dictionary()
    coder = SparseCoder(dictionary=D, algorithm=algorithm, alpha=2.0).fit(X)
    expected = -objective(X, coder.transform(X), D, 0 if algorithm == "omp" else 2.0)
    assert coder.score(X) == pytest.approx(expected, rel=1e-12)
    assert coder.score(X.astype(np.float32)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("algorithm", ["lasso", "omp", "threshold"])
def test_dtypes(algorithm, given, digits):
    X, _ = digits
    settings = {"dictionary": dictionary()} if given else {"n_components": 20, "max_iter": 2}
    double = SparseCoder(**settings, algorithm=algorithm, random_state=0).fit(X)
    single = SparseCoder(**settings, algorithm=algorithm, random_state=0).fit(X.astype(np.float32))
    for coder, dtype in ((double, np.float64), (single, np.float32)):
        assert coder.components_.dtype == dtype
        for rows in (X, X.astype(np.float32), X.astype(np.uint8), torch.from_numpy(X).float()):
            expected = np.float32 if getattr(rows, "dtype", None) in (np.float32, torch.float32) else np.float64
            assert coder.transform(rows).dtype == expected
    if given:
        np.testing.assert_allclose(single.transform(X.astype(np.float32)), double.transform(X), atol=1e-3)


def test_rows_do_not_depend_on_threads(digits):
    X, _ = digits
    for algorithm in ("lasso", "omp", "threshold"):
        coder = SparseCoder(30, algorithm=algorithm, max_iter=3, random_state=0).fit(X)
        expected = coder.transform(X)
        try:
            torch.set_num_threads(3)
            np.testing.assert_array_equal(coder.transform(X), expected)
        finally:
            torch.set_num_threads(1)


def test_chunks_of_transform_are_the_same_codes(digits, monkeypatch):
    X, _ = digits
    coder = SparseCoder(30, max_iter=3, random_state=0).fit(X)
    expected, score = coder.transform(X), coder.score(X)
    monkeypatch.setattr(module, "CHUNK_BYTES", 8 * 124 * 37)  # 37 rows
    np.testing.assert_allclose(coder.transform(X), expected, atol=1e-9)
    assert coder.score(X) == pytest.approx(score)


class Elsewhere:
    """A device that is not the CPU to the coder, and is to torch."""

    type = "cuda"


@pytest.fixture
def elsewhere(monkeypatch):
    on_cpu = torch.tensor
    monkeypatch.setattr(module, "resolve_device", lambda name: Elsewhere())
    monkeypatch.setattr(torch, "tensor", lambda data, device=None, dtype=None: on_cpu(data, dtype=dtype))
    return Elsewhere


@pytest.mark.parametrize("kind", ["cuda", "mps"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("algorithm", ["lasso", "omp", "threshold"])
def test_codes_of_a_gpu(algorithm, dtype, kind, digits, elsewhere, monkeypatch):
    monkeypatch.setattr(elsewhere, "type", kind)
    X = (digits[0] / 16).astype(dtype)
    on_gpu = SparseCoder(dictionary=dictionary(), algorithm=algorithm, alpha=0.5, random_state=0).fit(X)
    Z, score = on_gpu.transform(X), on_gpu.score(X)
    monkeypatch.undo()
    on_cpu = SparseCoder(dictionary=dictionary(), algorithm=algorithm, alpha=0.5, random_state=0).fit(X)
    assert Z.dtype == dtype
    if algorithm == "lasso":
        np.testing.assert_allclose(Z, on_cpu.transform(X), atol=0.05)
        assert score == pytest.approx(on_cpu.score(X), rel=1e-4)
    else:
        np.testing.assert_allclose(Z, on_cpu.transform(X), atol=1e-4 if dtype == np.float32 or kind == "mps" else 1e-9)


@pytest.mark.parametrize("algorithm", ["lasso", "omp", "threshold"])
def test_learning_on_a_gpu(algorithm, digits, elsewhere, monkeypatch):
    X = digits[0] / 16
    settings = {"n_components": 30, "algorithm": algorithm, "max_iter": 3, "random_state": 0}
    on_gpu = SparseCoder(**settings).fit(X).history_
    monkeypatch.undo()
    on_cpu = SparseCoder(**settings).fit(X).history_
    np.testing.assert_allclose([e["train_loss"] for e in on_gpu], [e["train_loss"] for e in on_cpu], rtol=0.01)


def test_codes_that_are_not_optimal_yet_are_told(digits, elsewhere, monkeypatch):
    from skrep.solvers import on_device

    monkeypatch.setattr(
        on_device, "lasso_on_device",
        lambda rows, atoms, alpha, *, positive: (torch.zeros(len(rows), len(atoms), dtype=rows.dtype), 7),
    )  # fmt: skip
    coder = SparseCoder(dictionary=dictionary()).fit(digits[0])
    with pytest.warns(ConvergenceWarning, match=r"\b7\b.*\b600\b.*device='cpu'"):
        coder.transform(digits[0])


# --- learning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_features", "settings"),
    [
        (20, {"alpha": 0.1}),
        (30, {"alpha": 0.1}),
        (20, {"alpha": 0.1, "learning": "batch"}),
        (30, {"alpha": 0.1, "learning": "batch"}),
        (20, {"algorithm": "omp", "n_nonzero_coefs": 3}),
        (30, {"algorithm": "omp", "n_nonzero_coefs": 3}),
        # in 20 dimensions, where 50 atoms are less apart, it stops in a local optimum with about .93
        (30, {"algorithm": "omp", "n_nonzero_coefs": 3, "learning": "batch"}),
    ],
    ids=str,
)
def test_planted_atoms_are_recovered(n_features, settings):
    shares = []
    for seed in range(3):
        X, D = planted(seed, n_features=n_features)
        shares.append(share_found(SparseCoder(50, **settings, random_state=seed).fit(X).components_, D))
    assert np.mean(shares) > 0.95, shares


LEARNING = [
    {"learning": "online"},
    {"learning": "batch"},
    {"learning": "omp1"},
    {"algorithm": "omp"},
    {"algorithm": "omp", "learning": "batch"},
    {"algorithm": "threshold"},
    {"algorithm": "threshold", "learning": "online"},
    {"positive": True},
]
each_way = pytest.mark.parametrize("settings", LEARNING, ids=str)


@each_way
def test_learning(settings, digits):
    X, _ = digits
    coder = SparseCoder(40, max_iter=8, random_state=0, **settings).fit(X)
    assert coder.components_.shape == (40, 64)
    np.testing.assert_allclose(np.linalg.norm(coder.components_, axis=1), 1, rtol=1e-9)
    losses = [entry["train_loss"] for entry in coder.history_]
    assert [entry["epoch"] for entry in coder.history_] == list(range(1, coder.n_iter_ + 1))
    assert losses[-1] < 0.97 * losses[0]
    by_default = "omp1" if settings.get("algorithm") == "threshold" else "online"
    n_steps = 3 if settings.get("learning", by_default) == "online" else 1  # 600 rows in batches of 256
    assert coder.n_steps_ == n_steps * coder.n_iter_
    first = SparseCoder(40, max_iter=1, random_state=0, **settings).fit(X)
    assert coder.score(X) > first.score(X) or settings.get("algorithm") == "threshold"
    assert set(first.history_[0]) == {"epoch", "train_loss"}


def test_the_default_learning(digits):
    X, _ = digits
    for algorithm, learning in (("lasso", "online"), ("omp", "online"), ("threshold", "omp1")):
        by_default, by_name = (
            SparseCoder(20, algorithm=algorithm, max_iter=2, random_state=0, learning=each).fit(X)
            for each in ("auto", learning)
        )
        np.testing.assert_array_equal(by_default.components_, by_name.components_)


def test_train_loss_is_the_mean_objective_of_the_pass(digits):
    X, _ = digits
    coder = SparseCoder(40, learning="batch", max_iter=3, random_state=0).fit(X)
    shorter = SparseCoder(40, learning="batch", max_iter=2, random_state=0).fit(X)
    assert coder.history_[:2] == shorter.history_
    expected = objective(X, shorter.transform(X), shorter.components_, shorter.alpha_)
    assert coder.history_[2]["train_loss"] == pytest.approx(expected)


def test_as_good_as_scikit_learn(digits):
    X = digits[0] / 16
    ours = SparseCoder(40, alpha=0.5, random_state=0).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = decomposition.MiniBatchDictionaryLearning(
            40, alpha=0.5, fit_algorithm="cd", max_iter=20, batch_size=256, random_state=0
        ).fit(X)
    peer = SparseCoder(dictionary=theirs.components_, alpha=0.5).fit(X)
    assert -ours.score(X) <= -1.01 * peer.score(X)


def test_learning_ends_without_progress(digits):
    X, _ = digits
    ended = SparseCoder(20, random_state=0).fit(X)
    assert 3 < ended.n_iter_ < 100
    assert SparseCoder(20, tol=0.5, random_state=0).fit(X).n_iter_ < ended.n_iter_
    assert SparseCoder(20, max_iter=2, random_state=0).fit(X).n_iter_ == 2


def test_positive_dictionary_and_codes(digits):
    X, _ = digits
    for learning in ("online", "batch", "omp1"):
        coder = SparseCoder(30, positive_dict=True, learning=learning, max_iter=3, random_state=0).fit(X - 5)
        assert (coder.components_ >= 0).all()
        np.testing.assert_allclose(np.linalg.norm(coder.components_, axis=1), 1, rtol=1e-9)
        assert (coder.transform(X - 5) < 0).any()
    parts = SparseCoder(30, positive_dict=True, positive=True, max_iter=3, random_state=0).fit(X)
    assert (parts.transform(X) >= 0).all()


def naive_spherical_k_means(X, atoms):
    """Each row gets the atom that it correlates most with; each atom becomes the direction of what it got."""
    correlations = X @ atoms.T
    best = np.abs(correlations).argmax(1)
    new = np.array([(correlations[best == k, k, None] * X[best == k]).sum(0) for k in range(len(atoms))])
    return new / np.linalg.norm(new, axis=1, keepdims=True)


def test_omp1_is_spherical_k_means(digits):
    X, _ = digits
    one, two = (
        SparseCoder(8, algorithm="threshold", max_iter=n, random_state=0).fit(X - X.mean(0)).components_ for n in (1, 2)
    )
    np.testing.assert_allclose(two, naive_spherical_k_means(X - X.mean(0), one), atol=1e-9)


def test_omp1_finds_clusters():
    rng = np.random.default_rng(0)
    centres = dictionary(0, 5, 30)
    X = centres[rng.integers(5, size=400)] + 0.02 * rng.normal(size=(400, 30))
    learned = SparseCoder(5, algorithm="threshold", random_state=1).fit(X).components_
    assert (np.abs(centres @ learned.T).max(1) > 0.99).all()
    peer = KMeans(5, n_init=10, random_state=0).fit(X).cluster_centers_
    peer /= np.linalg.norm(peer, axis=1, keepdims=True)
    assert (np.abs(peer @ learned.T).max(1) > 0.999).all()


@each_way
def test_atoms_without_use_are_replaced(settings, digits):
    X, _ = digits
    coder = SparseCoder(30, max_iter=30, tol=0, random_state=0, batch_size=100, **settings).fit(X)
    Z = np.abs(SparseCoder(dictionary=coder.components_, alpha=coder.alpha_ or 1.0).fit_transform(X)).sum(0)
    assert (Z > 0).mean() > 0.9
    alike = np.abs(coder.components_ @ coder.components_.T) - np.eye(30)
    assert (alike > 0.999).sum() == 0


def test_replaced_atoms_are_rows_that_are_coded_worst(digits):
    X, _ = digits
    coder = SparseCoder(6, max_iter=5, random_state=0).fit(X)
    coder.components_[4] = coder.components_[1]
    coder._A[2, 2] = 0
    Z = np.zeros((len(X), 6))
    kept = coder.components_[[0, 1, 3, 5]].copy()
    coder._dictionary_learning().replace_atoms(X, Z)
    worst = X[np.argsort(-np.linalg.norm(X, axis=1))[:2]]
    np.testing.assert_allclose(coder.components_[[2, 4]], worst / np.linalg.norm(worst, axis=1, keepdims=True))
    np.testing.assert_array_equal(coder.components_[[0, 1, 3, 5]], kept)
    assert not coder._A[[2, 4]].any()
    assert not coder._A[:, [2, 4]].any()
    assert not coder._B[[2, 4]].any()


@each_way
def test_random_state(settings, digits):
    X, _ = digits
    settings = {"max_iter": 2, **settings}
    one, same, other = (SparseCoder(20, **settings, random_state=seed).fit(X).components_ for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    instance = np.random.RandomState(0)
    first, second = (SparseCoder(20, **settings, random_state=instance).fit(X).components_ for _ in range(2))
    assert not np.array_equal(first, second)
    again = SparseCoder(20, **settings, random_state=np.random.RandomState(0)).fit(X).components_
    np.testing.assert_array_equal(again, first)


@each_way
@pytest.mark.parametrize("random_state", [0, None])
def test_global_generators_and_data_stay_as_they_were(settings, random_state, digits):
    X = digits[0].copy()
    X.flags.writeable = False
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    SparseCoder(10, max_iter=1, random_state=random_state, **settings).fit(X).transform(X)
    SparseCoder(10, random_state=random_state, **settings).partial_fit(X)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


def test_verbose(digits, capsys):
    X, _ = digits
    coder = SparseCoder(10, max_iter=2, random_state=0, verbose=1).fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"[SparseCoder] pass {entry['epoch']}, objective {entry['train_loss']:.6g}" for entry in coder.history_
    ]
    SparseCoder(10, max_iter=2, random_state=0).fit(X)
    assert capsys.readouterr().out == ""


# --- streams, files, Datasets -----------------------------------------------------------------------------------------


@each_way
def test_a_stream_learns_as_much_as_fit(settings, digits):
    X, _ = digits
    whole = SparseCoder(30, random_state=0, max_iter=10, tol=0, **settings).fit(X)
    stream = SparseCoder(30, random_state=0, alpha=whole.alpha_ or None, **settings)
    for _ in range(10):
        for start in range(0, 600, 150):
            assert stream.partial_fit(X[start : start + 150]) is stream
    assert stream.n_iter_ == len(stream.history_) == 40
    assert stream.n_steps_ == 40
    assert stream.alpha_ == whole.alpha_
    assert -stream.score(X) <= -1.05 * whole.score(X)


def test_partial_fit_keeps_alpha_and_atoms_of_the_first_call(digits):
    X, _ = digits
    coder = SparseCoder(10, random_state=0).partial_fit(X[:100])
    alpha = coder.alpha_
    assert alpha == pytest.approx(1.2 * np.sqrt((X[:100] ** 2).mean()))
    assert coder.partial_fit(100 * X).alpha_ == alpha
    given = SparseCoder(dictionary=dictionary()).partial_fit(X)
    np.testing.assert_array_equal(given.components_, dictionary())
    np.testing.assert_array_equal(given.partial_fit(2 * X).components_, dictionary())


def test_partial_fit_goes_on_after_fit(digits):
    X, _ = digits
    coder = SparseCoder(30, max_iter=3, tol=0, random_state=0).fit(X)
    before = coder.score(X), coder.n_steps_
    for _ in range(5):
        coder.partial_fit(X)
    assert coder.n_steps_ == before[1] + 15
    assert coder.n_iter_ == 8
    assert coder.score(X) > before[0]
    again = coder.fit(X)
    assert again.n_iter_ == 3  # fit starts anew
    assert again.score(X) == before[0]


def test_a_first_chunk_with_fewer_rows_than_atoms(digits):
    coder = SparseCoder(30, random_state=0)
    with pytest.raises(ValueError, match=r"partial_fit\b.*\b29\b.*n_components=30\b"):
        coder.partial_fit(digits[0][:29])
    assert not [name for name in vars(coder) if name.endswith("_")]
    coder.partial_fit(digits[0][:30]).partial_fit(digits[0][30:31])
    assert coder.n_iter_ == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"algorithm": "omp"}, "algorithm='lasso'.*'omp'"),
        ({"algorithm": "nonsense"}, "algorithm='lasso'.*'nonsense'"),
        ({"alpha": 5.0}, r"alpha=None\b.*\b5\.0\b"),
        ({"n_components": 5}, r"n_components=8\b.*\b5\b"),
        ({"dictionary": np.eye(64)}, "learned=True.*False"),
        ({"split_sign": True}, "split_sign=False.*True"),
    ],
)
def test_parameters_changed_after_fit(changed, message, digits):
    X, _ = digits
    coder = SparseCoder(8, max_iter=1, random_state=0).fit(X)
    expected = coder.transform(X)
    before = coder.get_params()
    coder.set_params(**changed)
    for use in (coder.transform, coder.score, coder.partial_fit):
        with pytest.raises(ValueError, match=f"SparseCoder .*{message}"):
            use(X)
    coder.set_params(**before)
    np.testing.assert_array_equal(coder.transform(X), expected)


def test_a_shallow_copy_learns_by_itself(digits):
    coder = SparseCoder(8, max_iter=1, random_state=0).fit(digits[0])
    before = state(coder)
    copy.copy(coder).partial_fit(digits[0])
    assert state(coder) == before


@pytest.mark.parametrize("settings", [{"alpha": 1e-4}, {"algorithm": "omp", "n_nonzero_coefs": 5}], ids=str)
def test_float32_rows_are_solved_in_float64(settings):
    rng = np.random.default_rng(0)
    D = (rng.normal(size=10) + 1e-3 * rng.normal(size=(30, 10))).astype(np.float32)
    X = rng.normal(size=(40, 10)).astype(np.float32)
    narrow = SparseCoder(dictionary=D, **settings).fit(X).transform(X)
    wide = SparseCoder(dictionary=D, **settings).fit(X.astype(np.float64)).transform(X.astype(np.float64))
    assert narrow.dtype == np.float32
    np.testing.assert_array_equal(narrow, wide.astype(np.float32))


def test_results_that_no_float_holds_are_an_error():
    rng = np.random.default_rng(0)
    D, X = (1e-19 * rng.normal(size=(20, 12))).astype(np.float32), (1e20 * rng.normal(size=(5, 12))).astype(np.float32)
    coder = SparseCoder(dictionary=D, alpha=1e-10).fit(X)
    with pytest.raises(ValueError, match=r"overflow.*StandardScaler"):
        coder.transform(X)
    with pytest.raises(ValueError, match=r"overflow.*StandardScaler"):
        SparseCoder(dictionary=2 * np.eye(12)).fit(np.eye(12)).inverse_transform(np.full((1, 12), 1e308))
    assert not SparseCoder(dictionary=np.eye(12), algorithm="threshold", alpha=1e300).fit(X).transform(X).any()


def test_kinds_of_dictionary(digits):
    X, D = digits[0], dictionary()
    expected = SparseCoder(dictionary=D).fit(X).transform(X)
    for given in (D.tolist(), pd.DataFrame(D), torch.tensor(D, requires_grad=True), np.asfortranarray(D)):
        np.testing.assert_array_equal(SparseCoder(dictionary=given).fit(X).transform(X), expected)
    for bad, message in (
        ([["a", "b"]], "could not convert"), (D[0], "Expected 2D"), (D * np.nan, "NaN"), (1j * D, "[Cc]omplex"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=rf"SparseCoder\(dictionary=\.\.\.\).*{message}"):
            SparseCoder(dictionary=bad).fit(X)
    with pytest.raises(ValueError, match="dictionary=3"):
        SparseCoder(dictionary=3).fit(X)


@pytest.mark.parametrize("bad", ["columns", "NaN", "too large", "parameter"])
def test_a_failed_partial_fit_changes_nothing(bad, digits):
    X, _ = digits
    coder = SparseCoder(10, random_state=0).partial_fit(X)
    before, shallow = state(coder), copy.copy(coder)
    rows = X.copy()
    if bad == "columns":
        rows = X[:, :5]
    elif bad == "NaN":
        rows[500, 3] = np.nan
    elif bad == "too large":
        rows[599] = 1e300  # after two batches that were learned from
    else:
        coder.batch_size = 0
    message = {
        "columns": "X has 5 features",
        "NaN": "NaN",
        "too large": r"overflow.*StandardScaler",
        "parameter": "batch_size=0",
    }[bad]
    with pytest.raises(ValueError, match=message):
        coder.partial_fit(rows)
    assert state(coder) == before
    coder.batch_size = 256
    coder.partial_fit(X)
    assert state(coder) != before
    assert state(shallow) == before  # nor does a later call touch arrays that were handed out


@pytest.mark.parametrize("algorithm", ["lasso", "omp", "threshold"])
def test_files_and_datasets_are_the_same_rows(algorithm, digits, tmp_path, monkeypatch):
    X = digits[0].astype(np.float32)
    np.save(tmp_path / "rows.npy", X)
    settings = {"n_components": 20, "algorithm": algorithm, "max_iter": 3, "random_state": 0}
    sources = {
        "memmap": np.load(tmp_path / "rows.npy", mmap_mode="r"),
        "Dataset": TensorDataset(torch.from_numpy(X)),
        "tensor": torch.from_numpy(X),
    }
    expected = SparseCoder(**settings).fit(X)
    for rows in sources.values():
        coder = SparseCoder(**settings).fit(rows)
        np.testing.assert_array_equal(coder.components_, expected.components_)
        np.testing.assert_array_equal(coder.transform(rows), expected.transform(X))
        assert coder.score(rows) == expected.score(X)
    # in pieces, whose rows are shuffled among themselves
    monkeypatch.setattr(matrix, "CHUNK_BYTES", 8 * 64 * 256)
    for name in ("memmap", "Dataset"):
        coder = SparseCoder(**settings).fit(sources[name])
        assert coder.score(X) == pytest.approx(expected.score(X), rel=0.05)
        assert coder.alpha_ == pytest.approx(expected.alpha_)


def test_a_file_with_nan(tmp_path, digits):
    X = digits[0].copy()
    X[411, 5] = np.nan
    np.save(tmp_path / "rows.npy", X)
    coder = SparseCoder(10, random_state=0)
    with pytest.raises(ValueError, match=r"NaN.*row 411\b"):
        coder.fit(np.load(tmp_path / "rows.npy", mmap_mode="r"))
    assert not [name for name in vars(coder) if name.endswith("_")]


PEAK = """
import sys
import numpy as np
import pandas as pd
from skrep import SparseCoder
from skrep.data import matrix
from skrep.sparse import coder as module

matrix.CHUNK_BYTES = module.CHUNK_BYTES = 4 * 2**20

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

for path in sys.argv[1:]:
    X = np.load(path, mmap_mode="r")
    coder = SparseCoder(16, max_iter=1, random_state=0, batch_size=2048).fit(X)
    SparseCoder(16, max_iter=1, learning="batch", random_state=0).fit(X)
    coder.score(X)
    for start in range(0, len(X), 10_000):
        coder.partial_fit(X[start : start + 10_000])
    print(peak())
"""


@pytest.mark.exhaustive
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_memory_does_not_grow_with_rows(tmp_path):
    rows = np.random.default_rng(0).standard_normal((20_000, 200), np.float32)
    paths = [tmp_path / f"{n}.npy" for n in (20_000, 200_000)]
    for path, times in zip(paths, (1, 10), strict=True):
        file = np.lib.format.open_memmap(path, "w+", np.float32, (20_000 * times, 200))
        for start in range(0, len(file), 20_000):
            file[start : start + 20_000] = rows
        file.flush()
        del file
    done = subprocess.run([sys.executable, "-c", PEAK, *paths], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    small, large = map(float, done.stdout.split())
    assert large < small + 30  # MiB; the rows that are more are 137


# --- saving -----------------------------------------------------------------------------------------------------------


@each_way
def test_learning_goes_on_after_loading(settings, digits, tmp_path):
    X, _ = digits
    coder = SparseCoder(20, random_state=0, **settings).partial_fit(X[:300])
    skrep.save(coder, tmp_path / "file")
    loaded = skrep.load(tmp_path / "file")
    for each in (coder, loaded):
        each.partial_fit(X[300:])
    np.testing.assert_array_equal(loaded.components_, coder.components_)
    assert loaded.history_ == coder.history_
    assert loaded.n_steps_ == coder.n_steps_
    np.testing.assert_array_equal(loaded.transform(X), coder.transform(X))


def test_a_given_dictionary_is_saved(digits, tmp_path):
    X, _ = digits
    coder = SparseCoder(dictionary=dictionary(), algorithm="omp").fit(X)
    skrep.save(coder, tmp_path / "file")
    np.testing.assert_array_equal(skrep.load(tmp_path / "file").transform(X), coder.transform(X))


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 0}, "alpha=0"),
        ({"alpha": -1.0}, "alpha=-1.0"),
        ({"alpha": float("nan")}, "alpha=nan"),
        ({"algorithm": "omp", "positive": True}, "fits coefficients by least squares"),
        ({"algorithm": "lars"}, "algorithm='lars'"),
        ({"learning": "kmeans"}, "learning='kmeans'"),
        ({"n_components": 0}, "n_components=0"),
        ({"n_nonzero_coefs": 0}, "n_nonzero_coefs=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"max_iter": 0}, "max_iter=0"),
        ({"tol": -1}, "tol=-1"),
        ({"device": "abacus"}, "device='abacus'"),
        ({"dictionary": np.ones((3, 5))}, r"SparseCoder.*\b5\b.*\b64\b"),
        ({"dictionary": np.ones(64)}, "Expected 2D array"),
        ({"dictionary": np.ones((0, 64))}, "0 sample"),
        ({"dictionary": np.full((2, 64), np.nan)}, "dictionary contains NaN"),
        ({"dictionary": "ones"}, "dictionary='ones'"),
        ({"dictionary": np.ones((3, 64)), "n_components": 4}, r"n_components=4\b.*\b3\b"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(next(iter(value))),
)
def test_bad_parameters(settings, message, digits):
    for method in (SparseCoder.fit, SparseCoder.partial_fit):
        coder = SparseCoder(**settings)
        with pytest.raises((ValueError, TypeError), match=message):
            method(coder, digits[0])
        assert not [name for name in vars(coder) if name.endswith("_")]


@pytest.mark.parametrize("algorithm", ["lasso", "omp", "threshold"])
def test_dictionaries_with_zero_and_equal_atoms(algorithm, digits):
    X = digits[0][:100]
    D = dictionary()
    spoiled = np.vstack([np.zeros((2, 64)), D, D[:10]])
    settings = {"algorithm": algorithm, "alpha": 5.0, "n_nonzero_coefs": 5}
    Z = SparseCoder(dictionary=spoiled, **settings).fit_transform(X)
    expected = SparseCoder(dictionary=D, **settings).fit_transform(X)
    assert np.isfinite(Z).all()
    assert not Z[:, :2].any()
    if algorithm == "threshold":
        np.testing.assert_allclose(Z[:, 2:], np.hstack([expected, expected[:, :10]]), atol=1e-12)
    else:
        np.testing.assert_allclose(Z @ spoiled, expected @ D, atol=1e-6)
    assert not SparseCoder(dictionary=np.zeros((3, 64)), **settings).fit_transform(X).any()


@each_way
@pytest.mark.parametrize("value", [0.0, 3.0, -2.5])
def test_constant_data(settings, value):
    X = np.full((40, 6), value)
    if settings.get("positive"):
        X = np.abs(X)
    coder = SparseCoder(4, random_state=0, **settings).fit(X)
    Z = coder.transform(X)
    assert np.isfinite(coder.components_).all()
    assert np.isfinite(Z).all()
    assert np.isfinite(coder.score(X))
    assert coder.n_iter_ < 20
    if value == 0:
        assert not Z.any()
    elif settings.get("algorithm") == "omp":
        np.testing.assert_allclose(coder.inverse_transform(Z), X, rtol=1e-6)


@each_way
def test_rank_deficient_data_and_columns_of_zeros(settings):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 10))
    X[:, 4] = 0
    coder = SparseCoder(15, random_state=0, max_iter=20, **settings).fit(X)
    assert np.isfinite(coder.components_).all()
    assert np.isfinite(coder.transform(X)).all()
    assert np.abs(coder.components_[:, 4]).max() < 0.2


@each_way
def test_more_atoms_than_rows(settings, digits):
    X = digits[0][:12]
    for rows in (X, X[:2]):
        coder = SparseCoder(100, random_state=0, max_iter=5, **settings).fit(rows)
        assert coder.components_.shape == (100, 64)
        np.testing.assert_allclose(np.linalg.norm(coder.components_, axis=1), 1, rtol=1e-9)
        assert np.isfinite(coder.transform(rows)).all()
        assert not settings.get("learning") or len(coder.history_) >= 1
    with pytest.raises(ValueError, match="1 sample"):
        SparseCoder(3, **settings).fit(X[:1])


@each_way
@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e30), (np.float64, 1e300)])
def test_values_whose_squares_overflow(settings, dtype, size):
    X = np.random.default_rng(0).normal(size=(50, 6)).astype(dtype)
    for alpha in (None, 1.0):
        coder = SparseCoder(4, random_state=0, **{"alpha": alpha, **settings})
        try:
            Z = coder.fit(X * dtype(size)).transform(X * dtype(size))
        except ValueError as error:
            assert "StandardScaler" in str(error)  # noqa: PT017
            assert not [name for name in vars(coder) if name.endswith("_")]
        else:
            assert dtype == np.float32  # sums of squares are float64
            assert np.isfinite(Z).all()
            assert np.isfinite(coder.score(X))


@pytest.mark.parametrize("algorithm", ["lasso", "omp", "threshold"])
@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e30), (np.float64, 1e300)])
def test_a_dictionary_whose_products_overflow(algorithm, dtype, size):
    X = np.random.default_rng(0).normal(size=(20, 6)).astype(dtype)
    D = X[:3] * dtype(size)
    for rows, atoms in ((X, D), (X * dtype(size), D)):
        coder = SparseCoder(dictionary=atoms, algorithm=algorithm, alpha=1.0)
        try:
            Z = coder.fit(rows).transform(rows)
        except ValueError as error:
            assert "StandardScaler" in str(error)  # noqa: PT017
        else:
            assert np.isfinite(Z).all()


@each_way
@pytest.mark.parametrize("size", [1e-30, 1e15])
def test_units_do_not_matter(settings, size, digits):
    X, _ = digits
    expected = SparseCoder(10, max_iter=3, random_state=0, **settings).fit(X)
    coder = SparseCoder(10, max_iter=3, random_state=0, **settings).fit(size * X)
    np.testing.assert_allclose(coder.components_, expected.components_, atol=1e-6)
    np.testing.assert_allclose(coder.transform(size * X) / size, expected.transform(X), atol=1e-4)
