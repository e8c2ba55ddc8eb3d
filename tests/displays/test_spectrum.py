import re

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, FastICA, IncrementalPCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skrep import AutoEncoderTransformer, PCAEncoder
from skrep.displays import SpectrumDisplay


def legend(display):
    return display.ax_.get_legend().get_texts()[-1].get_text().split("\n")


@pytest.mark.parametrize(
    "estimator", [PCAEncoder(9), PCA(9), PCA(9, whiten=True), IncrementalPCA(9), TruncatedSVD(9, random_state=0)]
)
def test_explained_variance(digits, estimator):
    X, _ = digits
    estimator.fit(X)
    display = SpectrumDisplay.from_estimator(estimator)
    share = estimator.explained_variance_ratio_
    np.testing.assert_array_equal(display.line_.get_xdata(), np.arange(1, 10))
    np.testing.assert_allclose(display.line_.get_ydata(), share)
    np.testing.assert_array_equal(display.cumulative_line_.get_xdata(), np.arange(1, 10))
    np.testing.assert_allclose(display.cumulative_line_.get_ydata(), np.cumsum(share))
    assert display.effective_dimensions_ is None  # of 64 columns
    assert display.ax_.get_yscale() == "linear"
    assert legend(display) == [type(estimator).__name__, f"{100 * share.sum():.3g} % in 9 components"]


def test_marks_are_what_pca_keeps(digits):
    X, _ = digits
    full = PCAEncoder().fit(X)
    display = SpectrumDisplay.from_estimator(full, marks=(0.95, 3, 0.5), name="")
    kept = [3, *(PCA(share).fit(X).n_components_ for share in (0.5, 0.95))]
    np.testing.assert_array_equal(display.marks_.get_xdata(), kept)
    np.testing.assert_allclose(
        display.marks_.get_ydata(), [full.explained_variance_ratio_[:n].sum() for n in kept], rtol=1e-12
    )
    assert legend(display)[1:-1] == [
        f"{100 * full.explained_variance_ratio_[:n].sum():.3g} % in {n} components" for n in kept
    ]
    assert len(SpectrumDisplay([4.0, 1.0]).plot(marks=()).marks_.get_xdata()) == 0


def test_covariance_of_features(digits):
    X, _ = digits
    encoder = AutoEncoderTransformer(5, hidden=(), max_epochs=1, random_state=0).fit(X)
    display = SpectrumDisplay.from_estimator(encoder, X, name="five")
    Z = encoder.transform(X).astype(np.float64)
    eigenvalues = np.linalg.eigh(np.cov(Z.T))[0][::-1]
    np.testing.assert_allclose(display.explained_variance, eigenvalues, rtol=1e-9)
    np.testing.assert_allclose(display.line_.get_ydata(), eigenvalues / eigenvalues.sum(), rtol=1e-9)
    assert display.ax_.get_yscale() == "log"
    assert legend(display)[0] == "five"
    assert legend(display)[-1] == f"{display.effective_dimensions_:.1f} effective dimensions"


def test_fewer_samples_than_features():
    Z = np.random.default_rng(0).normal(size=(6, 40))
    display = SpectrumDisplay.from_features(Z)
    np.testing.assert_allclose(display.explained_variance[:5], PCA().fit(Z).explained_variance_[:5], rtol=1e-9)
    drawn = display.line_.get_ydata()
    assert np.isnan(drawn[5])  # centring takes one, and what rounding leaves of it is no share
    assert not np.isnan(drawn[:5]).any()


@pytest.mark.parametrize(("n_large", "small"), [(1, 0), (3, 0), (7, 1), (4, 0.25)])
def test_effective_dimensions(n_large, small):
    variance = np.array([1.0] * n_large + [small] * (7 - n_large))
    p = variance / variance.sum()
    expected = np.prod([share**-share for share in p if share > 0])  # exp of the entropy
    display = SpectrumDisplay(variance).plot()
    assert display.effective_dimensions_ == pytest.approx(expected)
    if small in (0, 1):
        assert display.effective_dimensions_ == pytest.approx(n_large)


def test_a_collapsed_representation():
    rng = np.random.default_rng(0)
    line = np.outer(rng.normal(size=30), rng.normal(size=8))
    one = SpectrumDisplay.from_features(line)
    assert one.effective_dimensions_ == pytest.approx(1)
    assert np.isfinite(one.line_.get_ydata()).sum() == 1
    none = SpectrumDisplay.from_features(np.full((30, 8), 0.1, dtype=np.float32))
    assert none.effective_dimensions_ == 0
    assert not none.cumulative_line_.get_ydata().any()
    constant = PCA(2)
    constant.explained_variance_, constant.explained_variance_ratio_ = np.zeros(2), np.full(2, np.nan)
    constant.components_ = np.eye(2)
    assert SpectrumDisplay.from_estimator(constant).effective_dimensions_ == 0
    for display in (one, none):
        display.figure_.canvas.draw()


def test_displays_share_axes():
    rng = np.random.default_rng(0)
    first = SpectrumDisplay.from_features(rng.normal(size=(50, 4)), name="four")
    second = SpectrumDisplay.from_features(rng.normal(size=(50, 9)) * 2.0 ** -np.arange(9), name="nine", ax=first.ax_)
    assert first.ax_.get_yscale() == "log"
    assert first.ax_.get_ylim()[0] < min(display.line_.get_ydata().min() for display in (first, second))
    third = SpectrumDisplay([3.0, 1.0], name="two").plot(first.ax_, yscale="linear", linestyle="-", lw=3)
    lines = [display.line_ for display in (first, second, third)]
    assert len({line.get_color() for line in lines}) == 3
    for display in (first, second, third):
        assert display.line_.get_color() == display.cumulative_line_.get_color() == display.marks_.get_color()
        assert display.line_.get_linestyle() == "-"
        assert display.cumulative_line_.get_linestyle() == "--"
    assert third.line_.get_linewidth() == 3
    names = [text.get_text().split("\n")[0] for text in first.ax_.get_legend().get_texts()]
    assert names == ["four", "nine", "two"]
    assert first.ax_.get_yscale() == "linear"


def test_bad_input(digits):
    X, y = digits
    with pytest.raises(NotFittedError):
        SpectrumDisplay.from_estimator(PCAEncoder(2))
    ica = FastICA(2, random_state=0, max_iter=1000, tol=0.1).fit(X)
    for estimator in (StandardScaler().fit(X), ica, LinearDiscriminantAnalysis().fit(X, y)):
        with pytest.raises(TypeError, match=rf"{type(estimator).__name__}\b.*explained_variance_ratio_.*\bX\b"):
            SpectrumDisplay.from_estimator(estimator)
    with pytest.raises(TypeError, match=r"IsolationForest\b.*\btransform\b.*SpectrumDisplay"):
        SpectrumDisplay.from_estimator(IsolationForest(n_estimators=2).fit(X), X)
    assert SpectrumDisplay.from_estimator(KMeans(3, n_init=1).fit(X), X).line_ is not None
    for variance in ([], [[1.0]], [1.0, -1.0], [np.nan], 3.0):
        with pytest.raises(ValueError, match=rf"explained_variance={re.escape(repr(variance))}.*\b0\b"):
            SpectrumDisplay(variance).plot()
    for mark in (0, 3, 1.0, -0.5, True, np.nan):
        with pytest.raises(ValueError, match=rf"marks=\[{mark}\].*\(0, 1\).*\b1\b.*\b2\b"):
            SpectrumDisplay([1.0, 1.0]).plot(marks=[mark])
    with pytest.raises(ValueError, match="yscale='cubic'"):
        SpectrumDisplay([1.0]).plot(yscale="cubic")
    with pytest.raises(ValueError, match="NaN"):
        SpectrumDisplay.from_estimator(FunctionTransformer(np.sqrt).fit(X), np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match="minimum of 2"):
        SpectrumDisplay.from_features([[1.0, 2.0]])
