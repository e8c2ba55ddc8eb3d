"""Groups: rows of one are never each other's negatives."""

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline

from skrep import MoCoTransformer, SimCLRTransformer
from skrep.backbones import ConvNet
from tests.engine.test_training import Ctrl, weights

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
BURSTS = np.arange(60) // 5
METHODS = [
    SimCLRTransformer(),
    *(MoCoTransformer(dictionary=name) for name in ("queue", "memory_bank", "end_to_end")),
]

each_method = pytest.mark.parametrize("method", METHODS, ids=["SimCLR", "queue", "memory_bank", "end_to_end"])


def quick(method, **options):
    kept = {"dictionary": method.dictionary} if hasattr(method, "dictionary") else {}
    given = {"max_epochs": 3, "random_state": 0, "backbone": ConvNet(2), "batch_size": 20}
    return type(method)(**kept | given | options)


@each_method
def test_they_change_what_is_learned_unless_each_row_is_its_own(method):
    plain = weights(quick(method).fit(IMAGES))
    assert torch.equal(weights(quick(method).fit(IMAGES, groups=np.arange(60))), plain)
    assert not torch.equal(weights(quick(method).fit(IMAGES, groups=BURSTS)), plain)


@each_method
def test_labels_of_any_kind(method):
    expected = weights(quick(method, max_epochs=1).fit(IMAGES, groups=BURSTS))
    for groups in ([f"burst {number:02}" for number in BURSTS], BURSTS / 7 - 1.0, torch.from_numpy(BURSTS)):
        assert torch.equal(weights(quick(method, max_epochs=1).fit(IMAGES, groups=groups)), expected)


@each_method
def test_one_pass_after_the_other(method):
    encoder = quick(method)
    for groups in (BURSTS, BURSTS[::-1], None, BURSTS):
        encoder.partial_fit(IMAGES, groups=groups)
    assert [row["epoch"] for row in encoder.history_] == [1, 2, 3, 4]
    assert np.isfinite([row["train_loss"] for row in encoder.history_]).all()


def test_a_group_is_in_one_part_and_its_rows_are_no_negatives_in_the_other():
    seen = {True: [], False: []}

    class Watched(SimCLRTransformer):
        def make_views(self, data, module):
            views = super().make_views(data, module)
            return lambda batch, generator: (seen[module.training].append(batch.groups), views(batch, generator))[1]

    encoder = Watched(max_epochs=1, batch_size=20, backbone=ConvNet(2), validation_fraction=0.25, random_state=0)
    encoder.fit(IMAGES, groups=BURSTS)
    train, valid = (set(torch.cat(groups).tolist()) for groups in seen.values())
    assert len(valid) == 3
    assert train == set(range(12)) - valid


@each_method
def test_groups_are_part_of_a_run(method, tmp_path):
    options = {"checkpoint": tmp_path}
    whole = quick(method).fit(IMAGES, groups=BURSTS)
    with pytest.raises(KeyboardInterrupt):
        quick(method, **options, callbacks=[Ctrl((1, 1), "raise")]).fit(IMAGES, groups=BURSTS)
    for groups in (None, BURSTS[::-1] // 2):
        assert quick(method, **options).fit(IMAGES, groups=groups).resumed_from_ is None
    resumed = quick(method, **options).fit(IMAGES, groups=[f"burst {number:02}" for number in BURSTS])
    assert resumed.resumed_from_ == (1, 1)
    assert torch.equal(weights(resumed), weights(whole))


BAD = {
    "too few": (BURSTS[:-1], r"X has 60 samples, groups has 59\b"),
    "two columns": (BURSTS.reshape(30, 2), r"groups has shape \(30, 2\).*\(n_samples,\)"),
    "missing": (np.where(BURSTS == 3, np.nan, BURSTS), "groups contains NaN"),
    "one group": (np.zeros(60), r"Transformer got 60 groups of one value.*two values"),
}


@pytest.mark.parametrize("case", BAD)
def test_groups_that_cannot_be_used(case):
    groups, message = BAD[case]
    for method in METHODS[:2]:
        encoder = quick(method)
        for fit in (encoder.fit, encoder.partial_fit, encoder.fit_transform):
            with pytest.raises(ValueError, match=message):
                fit(IMAGES, groups=groups)
        assert not hasattr(encoder, "net_")


def test_a_pipeline_hands_them_on(table):
    pipe = make_pipeline(quick(METHODS[0], backbone=None))
    groups = np.arange(len(table)) // 3
    pipe.fit(table, simclrtransformer__groups=groups)
    alone = quick(METHODS[0], backbone=None).fit(table, groups=groups)
    assert torch.equal(weights(pipe[0]), weights(alone))


def test_views_can_be_looked_at():
    first, second = quick(METHODS[1]).fit(IMAGES, groups=BURSTS).sample_views(IMAGES[:4])
    assert first.shape == second.shape == (4, 8, 8, 1)


def test_validation_has_two_groups_or_says_that_there_are_too_few():
    X, groups = np.random.default_rng(0).normal(size=(80, 6)), np.repeat(np.arange(8), 10)
    encoder = SimCLRTransformer(max_epochs=4, early_stopping=2, random_state=0).fit(X, groups=groups)
    assert min(row["valid_loss"] for row in encoder.history_) > 0
    with pytest.raises(ValueError, match=r"3 groups\b.*\b4 groups\b"):
        SimCLRTransformer(validation_fraction=0.2).fit(X, groups=groups % 3)


def test_groups_of_another_call_are_others():
    X = np.random.default_rng(0).normal(size=(40, 6))
    moco = MoCoTransformer(queue_size=40, random_state=0)
    moco.partial_fit(X, groups=np.repeat(["a", "b"], 20)).partial_fit(X, groups=np.repeat(["c", "d"], 20))
    assert set(moco.net_.module_.dictionary.rows.unique().tolist()) - {-1} == {2, 3}
