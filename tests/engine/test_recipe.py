"""Defaults of one fit: how long, and at what rate."""

import numpy as np
import pytest

from skrep import AutoEncoderTransformer, FineTuneClassifier, FineTuneRegressor, MoCoTransformer, SimCLRTransformer
from skrep.engine.recipe import plan, share_of_work
from tests.methods import Simple

RNG = np.random.default_rng(0)
TABLE, IMAGES = RNG.normal(size=(60, 6)), RNG.integers(0, 256, size=(60, 8, 8, 1), dtype=np.uint8)


def test_small_sets_get_a_share_of_the_work():
    assert [share_of_work(n) for n in (10, 3000, 6000, 10**6)] == [0.27, 0.27, 1, 1]
    assert share_of_work(4250) == pytest.approx(0.5)


def test_the_share_shortens_a_default_fit(monkeypatch):
    lengths = []
    for share in (0.27, 1.0):
        monkeypatch.setattr("skrep.engine.recipe.share_of_work", lambda n_rows, share=share: share)
        monkeypatch.setattr("skrep.engine.recipe._measured", lambda *given: 1e11)
        method = Simple()
        data = method.training_source(method.read(TABLE, None, None, reset=True))
        lengths.append(plan(method, data, method._build(data, 0))[1])
    assert lengths == [10, 40]


@pytest.mark.parametrize("cls", [SimCLRTransformer, MoCoTransformer])
def test_images_take_twice_the_rate_of_tables(cls):
    rates = [max(row["lr"] for row in cls(max_epochs=2, random_state=0).fit(X).history_) for X in (IMAGES, TABLE)]
    assert rates[0] == pytest.approx(2 * rates[1], rel=0.01)


def test_quantities_take_twice_the_rate_of_classes():
    encoder = AutoEncoderTransformer(2, max_epochs=1, random_state=0).fit(TABLE)
    y = np.arange(60) % 2
    rates = [
        max(row["lr"] for row in cls(encoder, max_epochs=2, random_state=0).fit(TABLE, y).history_)
        for cls in (FineTuneRegressor, FineTuneClassifier)
    ]
    assert rates[0] == pytest.approx(2 * rates[1], rel=0.01)
