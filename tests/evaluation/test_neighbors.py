import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

from skrep import PCAEncoder
from skrep.evaluation import knn_score
from skrep.evaluation.held_out import hold_out
from skrep.evaluation.neighbors import unit_rows


def cosine(a, b):
    lengths = np.sqrt(np.sum(a * a)) * np.sqrt(np.sum(b * b))
    return np.sum(a * b) / lengths if lengths else 0.0


def naive_score(Z, y, Z_test, y_test, n_neighbors=20, temperature=0.07):
    right = 0
    for z, true in zip(np.asarray(Z_test, np.float64), y_test, strict=True):
        cosines = np.array([cosine(z, row) for row in np.asarray(Z, np.float64)])
        votes = {}
        for i in np.argsort(-cosines, kind="stable")[:n_neighbors]:
            votes[y[i]] = votes.get(y[i], 0) + np.exp(cosines[i] / temperature)
        right += max(sorted(votes), key=votes.get) == true
    return right / len(y_test)


@pytest.fixture
def blobs():
    """Noisy features in 5 dimensions of 4 classes: 80 to train on, 60 to test on."""
    rng = np.random.default_rng(0)
    y = np.array(["ant", "bee", "cat", "dog"])[rng.integers(4, size=140)]
    Z = rng.normal(size=(140, 5)) + 1.2 * np.eye(5)[np.unique(y, return_inverse=True)[1]]
    return Z[:80], y[:80], Z[80:], y[80:]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("given", [{}, {"n_neighbors": 1}, {"n_neighbors": 80}, {"temperature": 1.0}])
def test_against_a_naive_loop(given, dtype, blobs):
    Z, y, Z_test, y_test = blobs
    expected = naive_score(Z, y, Z_test, y_test, **given)
    assert 0.3 < expected < 0.9
    assert knn_score(None, Z.astype(dtype), y, Z_test.astype(dtype), y_test, **given) == expected


def test_votes_are_weighted():
    """One neighbour at 0 degrees outweighs two at 45 at a low temperature, and not at a high one."""
    Z, y = np.array([[2.0, 0.0], [3.0, 3.0], [1.0, -1.0]]), ["near", "far", "far"]
    turn = (1 - np.sqrt(0.5)) / np.log(2)  # where exp(1 / t) = 2 exp(sqrt(0.5) / t)
    for temperature, expected in [(0.99 * turn, 1.0), (1.01 * turn, 0.0)]:
        assert knn_score(None, Z, y, [[1.0, 0.0]], ["near"], n_neighbors=3, temperature=temperature) == expected


def test_extreme_temperatures(blobs):
    Z, y, Z_test, y_test = blobs
    nearest = naive_score(Z, y, Z_test, y_test, n_neighbors=1)
    for temperature in (1e-300, 5e-324, 1e-9):
        assert knn_score(None, Z, y, Z_test, y_test, temperature=temperature) == nearest
    for temperature in (1e6, np.inf):
        alike = naive_score(Z, y, Z_test, y_test, temperature=temperature)
        assert knn_score(None, Z, y, Z_test, y_test, temperature=temperature) == alike != nearest
    opposite = np.array([[-1.0, 0.0], [-2.0, 0.0]])  # exp(-1 / 0.001) is 0
    assert knn_score(None, opposite, [0, 1], [[1.0, 0.0]], [0], n_neighbors=2, temperature=0.001) == 1


def test_equal_votes_go_to_the_first_class():
    Z = np.array([[1.0, 1.0], [1.0, -1.0]])
    for y in (["b", "a"], ["a", "b"]):
        assert knn_score(None, Z, y, [[1.0, 0.0]], ["a"], n_neighbors=2) == 1
    same = np.ones((6, 3))
    assert knn_score(None, same, [2, 1, 1, 2, 2, 1], same[:2], [1, 1], n_neighbors=6) == 1
    assert knn_score(None, same, [2, 1, 1, 2, 2, 2], same[:2], [1, 1], n_neighbors=6) == 0


def test_rows_of_zeros_have_cosine_0():
    Z, y = np.array([[0.0, 0.0], [1.0, 2.0], [2.0, -2.0], [-1.0, 0.5]]), ["zero", "over", "right", "left"]
    queries = np.array([[1.0, 1.0], [0.9, -1.0], [-1.0, -0.5], [-0.5, -1.0]])
    nearest = [y[np.argmax([cosine(query, row) for row in Z])] for query in queries]
    assert nearest == ["over", "right", "left", "right"]
    assert knn_score(None, Z, y, queries, nearest, n_neighbors=1) == 1
    # all other rows are on the far side
    assert knn_score(None, Z[[0, 1, 1]], y[:3], [[-1.0, -1.0]], ["zero"], n_neighbors=1) == 1
    # for a query of zeros all are alike
    assert knn_score(None, Z, ["b", "a", "a", "b"], [[0.0, 0.0]], ["a"], n_neighbors=4) == 1
    rng = np.random.default_rng(0)
    Z, y = rng.normal(size=(30, 3)) * (rng.random((30, 1)) < 0.7), rng.integers(2, size=30)
    assert knn_score(None, Z, y, Z, y, n_neighbors=30) == naive_score(Z, y, Z, y, n_neighbors=30)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lengths_play_no_part(dtype, blobs):
    Z, y, Z_test, y_test = blobs
    smallest, largest = np.log10(np.finfo(dtype).smallest_subnormal) + 4, np.log10(np.finfo(dtype).max) - 2
    scales = 10.0 ** np.linspace(smallest, largest, len(Z))[:, np.newaxis]
    scaled = (Z * scales).astype(dtype)
    np.testing.assert_allclose(unit_rows(scaled, "Z", "test"), unit_rows(Z, "Z", "test"), atol=1e-4)
    assert knn_score(None, scaled, y, Z_test.astype(dtype), y_test) == knn_score(None, Z, y, Z_test, y_test)


def test_estimators_fitted_or_not_and_the_split_of_the_probe(digits):
    X, y = digits
    data = hold_out("test", X, y, random_state=3)
    X_train, X_test, y_train, y_test = data.X, data.X_test, data.y, data.y_test
    unfitted = PCAEncoder(8)
    fitted = PCAEncoder(8).fit(X_train)
    by_hand = knn_score(None, fitted.transform(X_train), y_train, fitted.transform(X_test), y_test)
    assert knn_score(unfitted, X, y, random_state=3) == by_hand
    assert knn_score(fitted, X_train, y_train, X_test, y_test) == by_hand
    assert not hasattr(unfitted, "components_")
    assert isinstance(by_hand, float)


def test_what_rows_may_be(digits):
    X, y = digits[0].astype(np.uint8), digits[1]
    expected = knn_score(None, X, y)
    assert expected == knn_score(None, X.reshape(-1, 8, 8, 1), y)  # (n, 64) -> (n, 8, 8, 1)
    assert expected == knn_score(None, pd.DataFrame(X), pd.Series(y))
    assert expected == knn_score(None, X.tolist(), y.tolist())
    svd = TruncatedSVD(8, random_state=0)
    kinds = [X.astype(float), sparse.csr_matrix(X.astype(float))]
    one, two = (knn_score(svd, rows[:400], y[:400], rows[400:], y[400:]) for rows in kinds)
    assert one == pytest.approx(two, abs=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_neighbors": 0}, "n_neighbors=0"),
        ({"n_neighbors": 2.0}, r"n_neighbors=2\.0"),
        ({"n_neighbors": 451}, r"n_neighbors=451\b.*\b450\b"),
        ({"temperature": 0}, r"temperature=0\b"),
        ({"temperature": -0.07}, r"temperature=-0\.07"),
        ({"temperature": np.nan}, "temperature=nan"),
        ({"y": np.zeros(600)}, "1 class"),
        ({"X_test": np.zeros((3, 64))}, "X_test.*y_test"),
        ({"y_test": np.zeros(3)}, "X_test.*y_test"),
        ({"X_test": np.zeros((3, 64)), "y_test": np.zeros(2)}, r"\b3 test\b.*\b2\b"),
        ({"X_test": np.zeros((3, 64)), "y_test": np.zeros(3), "y": np.zeros(599)}, r"\b600 training\b.*\b599\b"),
        ({"y": np.linspace(0, 1, 600)}, r"\bquantities\b.*\bfew_label_probe\b"),
        ({"scoring": "roc_auc_ovr_of"}, "roc_auc_ovr_of"),
        ({"X": np.full((600, 64), np.nan)}, "Input features contains NaN"),
        ({"X": np.full((600, 64), np.inf)}, "Input features contains infinity"),
    ],
)
def test_bad_requests(change, message, digits):
    class NeverFitted:
        def fit(self, X):
            raise AssertionError("a bad request is found before anything is fitted")

        def transform(self, X):
            raise AssertionError("nothing is fitted")

    encoder = None if "X" in change else NeverFitted()
    with pytest.raises(ValueError, match=message):
        knn_score(**{"encoder": encoder, "X": digits[0], "y": digits[1]} | change)
