import inspect

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone

from skrep.params import Integer, Real, SequenceOf, check_params, param, params


@params(kw_only=True)
class Base(BaseEstimator):
    """Shared.

    Parameters
    ----------
    seed : int, default=0
        Decides.
    """

    seed: int = param(Integer(low=0), default=0)


@params
class Method(Base):
    """One method.

    Parameters
    ----------
    width : int or None, default=None
        How wide,
        in units.
    kind : {"a", "b"}, default="a"
        Which.

    Attributes
    ----------
    fitted_ : int
        Something.
    """

    width: int | None = param(Integer(low=1, high=9), None, default=None)
    kind: str = param("a", "b", default="a")
    sizes: tuple = param(SequenceOf(Integer(low=1)), default=())
    rate: float = param(Real(low=0, open_low=True), default=1.0)


def test_signature_and_help():
    signature = inspect.signature(Method)
    assert list(signature.parameters) == ["width", "kind", "sizes", "rate", "seed"]
    assert signature.parameters["seed"].kind is inspect.Parameter.KEYWORD_ONLY
    assert Method(3).width == 3
    assert Method.__doc__ == inspect.cleandoc(
        """One method.

        Parameters
        ----------
        width : int or None, default=None
            How wide,
            in units.
        kind : {"a", "b"}, default="a"
            Which.
        seed : int, default=0
            Decides.

        Attributes
        ----------
        fitted_ : int
            Something.
        """
    )


def test_scikit_learn_sees_parameters():
    method = Method(2, rate=0.5)
    assert method.get_params() == {"width": 2, "kind": "a", "sizes": (), "rate": 0.5, "seed": 0}
    assert clone(method).get_params() == method.get_params()
    assert repr(method) == "Method(rate=0.5, width=2)"
    assert method != Method(2, rate=0.5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"width": 0}, r"Method\(width=0\).*\b1\b.*\b9\b.*None"),
        ({"width": 2.0}, r"width=2\.0"),
        ({"width": True}, "width=True"),
        ({"kind": "c"}, "kind='c'.*'a'.*'b'"),
        ({"kind": np.array(["a", "a"])}, r"kind=array\(\['a', 'a'\]"),
        ({"sizes": [1, 0]}, r"sizes=\[1, 0\].*\blist\b.*\btuple\b.*\b1\b"),
        ({"sizes": "12"}, r"sizes='12'.*\blist\b.*\btuple\b"),
        ({"rate": 0}, r"rate=0\b.*\b0\b"),
        ({"rate": float("nan")}, r"rate=nan\b.*\b0\b"),
        ({"rate": float("inf")}, r"rate=inf\b.*\b0\b"),
        ({"seed": None}, "seed=None"),
        ({"seed": "x" * 500}, r"seed='x+\.\.\.\).*\bseed\b"),
    ],
)
def test_values_that_are_not_accepted(given, message):
    with pytest.raises(ValueError, match=message):
        check_params(Method(**given))


@pytest.mark.parametrize(
    "given", [{"width": np.int64(3)}, {"rate": np.float32(0.1)}, {"rate": 2}, {"sizes": [1, 2]}, {}]
)
def test_values_that_are_accepted(given):
    check_params(Method(**given))
