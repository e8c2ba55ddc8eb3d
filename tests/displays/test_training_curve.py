import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skrep import AutoEncoderTransformer, PCAEncoder
from skrep.displays import TrainingCurveDisplay


@pytest.fixture(scope="module")
def fitted():
    X = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    return AutoEncoderTransformer(2, hidden=(), max_epochs=4, validation_fraction=0.2, random_state=0).fit(X)


def test_lines_are_the_history(fitted):
    display = TrainingCurveDisplay.from_estimator(fitted, plot_lr=True)
    for line, key in [
        (display.train_line_, "train_loss"),
        (display.valid_line_, "valid_loss"),
        (display.lr_line_, "lr"),
    ]:
        np.testing.assert_array_equal(line.get_xdata(), [row["epoch"] for row in fitted.history_])
        np.testing.assert_array_equal(line.get_ydata(), [row[key] for row in fitted.history_])
    assert display.lr_line_.axes is not display.ax_
    assert [t.get_text() for t in display.ax_.get_legend().get_texts()] == [
        "AutoEncoderTransformer, training",
        "AutoEncoderTransformer, validation",
    ]


def test_several_share_axes_and_have_their_own_colour(fitted):
    one = TrainingCurveDisplay.from_estimator(fitted, name="one")
    two = TrainingCurveDisplay.from_estimator(fitted, name="two", ax=one.ax_)
    assert one.ax_ is two.ax_
    assert len(one.ax_.lines) == 4
    colours = [d.train_line_.get_color() for d in (one, two)]
    assert colours[0] != colours[1]
    assert [d.valid_line_.get_color() for d in (one, two)] == colours
    assert one.train_line_.get_linestyle() != one.valid_line_.get_linestyle()
    assert len(one.ax_.get_legend().get_texts()) == 4


def test_line_options(fitted):
    display = TrainingCurveDisplay.from_estimator(fitted, c="black", lw=3)
    for line in (display.train_line_, display.valid_line_):
        assert line.get_color() == "black"
        assert line.get_linewidth() == 3
    assert display.lr_line_ is None


def test_epochs_without_validation_leave_a_gap():
    class Trained(BaseEstimator):
        def fit(self, X): ...

        def __sklearn_is_fitted__(self):
            return True

        history_ = (
            {"epoch": 1, "train_loss": 3.0, "lr": 0.1},
            {"epoch": 2, "train_loss": 2.0, "valid_loss": 2.5, "lr": 0.1},
        )

    display = TrainingCurveDisplay.from_estimator(Trained())
    np.testing.assert_array_equal(display.valid_line_.get_ydata(), [np.nan, 2.5])
    Trained.history_ = Trained.history_[:1]
    display = TrainingCurveDisplay.from_estimator(Trained())
    assert display.valid_line_ is None
    assert display.train_line_.get_marker() == "o"  # one epoch is still seen
    low, high = display.ax_.get_xlim()
    assert [tick for tick in display.ax_.get_xticks() if low <= tick <= high] == [1]


def test_bad_input(fitted, table):
    with pytest.raises(NotFittedError, match="not fitted"):
        TrainingCurveDisplay.from_estimator(AutoEncoderTransformer())
    for estimator in (PCAEncoder(2).fit(table), make_pipeline(StandardScaler(), fitted)):
        with pytest.raises(TypeError, match=rf"{type(estimator).__name__}\b.*history_.*TrainingCurveDisplay"):
            TrainingCurveDisplay.from_estimator(estimator)
    with pytest.raises(ValueError, match=r"plot_lr=True.*\blr=None"):
        TrainingCurveDisplay([1], [1.0]).plot(plot_lr=True)
