"""What a linear model reads off each layer of a network."""

import copy
from typing import Any, Self

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from skrep.displays.figures import axes_or_new, require_matplotlib

__all__ = ["LayerProbeDisplay"]


class LayerProbeDisplay:
    """Cross-validated score of a simple model on the features of each layer of a network.

    It is recommended to use :meth:`from_estimator`. Points are means over the splits, error bars one standard deviation
    on either side. Several displays can share one axes.

    Parameters
    ----------
    scores : array-like of shape (n_layers + 1, n_splits)
        Of the embeddings, then of each layer.
    metric : str, default="accuracy"
        What the scores are.
    name : str or None, default=None
        Name in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the line.
    figure_ : matplotlib Figure
        Figure that holds them.
    line_ : matplotlib Line2D
        Mean over the splits, by layer.
    error_bars_ : matplotlib LineCollection
        One standard deviation on either side.
    """

    def __init__(self, scores: Any, metric: str = "accuracy", name: str | None = None):
        self.scores = scores
        self.metric = metric
        self.name = name

    def plot(self, ax: Any = None, *, name: str | None = None, **line_kw: Any) -> Self:
        """Draw the line.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.
        name : str or None, default=None
            Name in the legend; None takes the display's own.
        **line_kw
            Passed to matplotlib's ``errorbar``.

        Returns
        -------
        self

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If there is not one row of scores a layer.
        """
        require_matplotlib(type(self).__name__)
        from matplotlib.cbook import normalize_kwargs
        from matplotlib.lines import Line2D
        from matplotlib.ticker import MaxNLocator

        scores = np.asarray(self.scores, np.float64)
        if scores.ndim != 2 or not scores.size:
            raise ValueError(
                f"{type(self).__name__} got scores of shape {scores.shape}; expected (n_layers + 1, n_splits)."
            )
        name = self.name if name is None else name
        self.ax_ = axes_or_new(ax, type(self).__name__)
        self.figure_ = self.ax_.figure
        look = {"marker": "o", "markersize": 5, "capsize": 3, "label": name} | normalize_kwargs(line_kw, Line2D)
        drawn = self.ax_.errorbar(range(len(scores)), scores.mean(axis=1), scores.std(axis=1), **look)
        self.line_, _, (self.error_bars_,) = drawn
        self.ax_.set(xlabel="layer (0: the embeddings)", ylabel=f"cross-validated {self.metric}")
        self.ax_.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
        if name:
            self.ax_.legend()
        return self

    @classmethod
    def from_estimator(
        cls,
        encoder: Any,
        X: Any,
        y: Any,
        *,
        estimator: Any = None,
        cv: Any = 5,
        scoring: Any = None,
        ax: Any = None,
        name: str | None = None,
        **line_kw: Any,
    ) -> Self:
        """Draw how well a simple model does on the features of each layer.

        The documents pass through the network once; the encoder stays as it is.

        Parameters
        ----------
        encoder : fitted estimator
            With ``n_layers_`` and a parameter `layer`, such as :class:`~skrep.MaskedLMTransformer`. Features are pooled
            as its `pooling` says.
        X : iterable of length n_documents
            The documents, as the encoder takes them.
        y : array-like of shape (n_documents,)
            What is to be predicted.
        estimator : estimator or None, default=None
            The simple model, which is cloned. None is LogisticRegression on standardised features.
        cv : int, splitter or iterable of (train, test), default=5
            As in scikit-learn's ``cross_val_score``; every layer has the same splits. Where the documents come in
            groups, pass those of a group splitter: ``list(GroupKFold(5).split(X, y, groups))``.
        scoring : str, callable or None, default=None
            As in ``cross_val_score``; None is the model's own score: accuracy, of a regressor R².
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.
        name : str or None, default=None
            Name in the legend; None takes the name of the class.
        **line_kw
            Passed to matplotlib's ``errorbar``.

        Returns
        -------
        LayerProbeDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        sklearn.exceptions.NotFittedError
            If the encoder is not fitted.
        TypeError
            If the encoder has no layers to choose from.
        ValueError
            If `X` and `y` do not fit together, or to the splits.
        """
        require_matplotlib(cls.__name__)
        check_is_fitted(encoder)
        if not (hasattr(encoder, "n_layers_") and hasattr(encoder, "layer")):
            raise TypeError(
                f"{type(encoder).__name__} has no n_layers_ and layer; {cls.__name__} needs a fitted "
                "MaskedLMTransformer. Of a Pipeline, pass that step."
            )
        if estimator is None:
            estimator = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        scorer = check_scoring(estimator, scoring)
        everywhere = copy.copy(encoder)
        everywhere.layer = "all"
        # (n_documents, (n_layers + 1) * width) -> (n_documents, n_layers + 1, width)
        features = everywhere.transform(X)
        features = features.reshape(len(features), encoder.n_layers_ + 1, -1)
        splits = list(check_cv(cv, y, classifier=is_classifier(estimator)).split(features, y))
        scores = [
            cross_val_score(clone(estimator), features[:, i], y, cv=splits, scoring=scorer)
            for i in range(features.shape[1])
        ]
        name = type(encoder).__name__ if name is None else name
        return cls(np.array(scores), _called(scoring, estimator), name).plot(ax, **line_kw)


def _called(scoring: Any, estimator: Any) -> str:
    """What the scores are, in words."""
    if scoring is None:
        return "accuracy" if is_classifier(estimator) else "score"
    return scoring.replace("_", " ") if isinstance(scoring, str) else "score"
