import numpy as np
import pytest

from skrep import PCAEncoder
from skrep.displays import FewLabelDisplay
from skrep.evaluation import Comparison, FewLabelScores, compare


def scores(n_labels=(10, 50, 1347), seed=0):
    rng = np.random.default_rng(seed)
    return FewLabelScores((1, 5, 1.0)[: len(n_labels)], n_labels, tuple(rng.random(4) for _ in n_labels))


def test_lines_and_bands_are_the_scores(digits):
    X, y = digits
    comparison = compare(
        {"raw": None, "pca": PCAEncoder(4)}, X[:200], y[:200], labels=[5, 1, 1.0], n_resamples=3
    )  # not in order
    display = FewLabelDisplay.from_comparison(comparison)
    assert list(display.lines_) == ["raw", "pca"]
    for row in comparison.rows:
        line, band = display.lines_[row.name], display.bands_[row.name]
        by_labels = sorted(zip(row.scores.n_labels, row.scores.scores, strict=True), key=lambda pair: pair[0])
        mean = np.array([np.mean(s) for _, s in by_labels])
        sd = np.array([np.std(s, ddof=1) if len(s) > 1 else 0 for _, s in by_labels])
        np.testing.assert_array_equal(line.get_xdata(), [n for n, _ in by_labels])
        np.testing.assert_allclose(line.get_ydata(), mean)
        vertices = band.get_paths()[0].vertices
        for n, low, high in zip(line.get_xdata(), mean - sd, mean + sd, strict=True):
            at = vertices[vertices[:, 0] == n][:, 1]
            np.testing.assert_allclose([at.min(), at.max()], [low, high])
    assert display.ax_.get_xscale() == "log"
    assert [t.get_text() for t in display.ax_.get_legend().get_texts()] == ["raw", "pca"]


def test_baselines_are_grey_and_dashed_and_methods_are_not():
    display = FewLabelDisplay.from_scores({name: scores(seed=i) for i, name in enumerate(["raw", "pca", "random"])})
    from matplotlib.colors import to_rgb

    for name, line in display.lines_.items():
        grey = np.ptp(to_rgb(line.get_color())) == 0
        assert grey == (line.get_linestyle() == "--") == (name != "pca")
    assert display.lines_["raw"].get_color() != display.lines_["random"].get_color()


def test_methods_differ_in_more_than_colour():
    display = FewLabelDisplay.from_scores({f"m{i}": scores(seed=i) for i in range(14)})
    assert len({(line.get_color(), line.get_marker()) for line in display.lines_.values()}) == 14
    assert len({line.get_marker() for line in list(display.lines_.values())[:7]}) == 7


def test_ticks_are_budgets_that_have_room():
    display = FewLabelDisplay.from_scores({"a": scores((10, 50, 1347)), "b": scores((10, 1300, 1347))})
    assert sorted(display.ax_.get_xticks()) == [10, 50, 1347]
    single = FewLabelDisplay.from_scores({"a": scores((50,))})
    single.figure_.canvas.draw()
    assert [t.get_text() for t in single.ax_.get_xticklabels()] == ["50"]


def test_nothing_to_draw():
    with pytest.raises(ValueError, match=r"FewLabelDisplay.*\bcurve\b"):
        FewLabelDisplay.from_comparison(Comparison(10, 5))
