import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from skorch.callbacks import Callback
from torch import nn

from skrep import RandomEncoder, SimCLRTransformer
from skrep.backbones import MLP, ConvNet, ResNet
from skrep.data import AsImages
from skrep.evaluation import few_label_probe
from skrep.views import Chain, GaussianNoise, RandomFeatureCorruption, RandomFlip
from tests.engine.test_training import Ctrl, weights


@pytest.fixture(scope="module")
def images(digits):
    return AsImages((8, 8)).fit_transform(digits[0])


def quick(**options):
    return SimCLRTransformer(**{"max_epochs": 2, "random_state": 0, "backbone": ConvNet(4)} | options)


def test_it_beats_pixels_and_the_untrained_network_with_few_labels(images, digits):
    encoder = SimCLRTransformer(max_epochs=15, random_state=0)
    probe = {"labels": [5], "n_resamples": 10}
    simclr, raw, random = (
        few_label_probe(e, X, digits[1], **probe).mean[0]
        for e, X in [(encoder, images), (None, digits[0]), (RandomEncoder(like=encoder), images)]
    )
    assert simclr > max(raw, random) + 0.01


def test_the_loss_falls_from_that_of_chance(images):
    history = quick(batch_size=64, max_epochs=4).fit(images).history_
    assert history[-1]["train_loss"] < history[0]["train_loss"] < np.log(2 * 64 - 1) + 0.5


def test_both_views_pass_as_one_batch_and_differ(images):
    encoder = quick().fit(images)
    module = encoder.net_.module_
    seen = []
    module.projector.register_forward_hook(lambda layer, inputs, output: seen.append(len(output)))
    encoder.partial_fit(images[:32])
    assert seen == [64]
    first, second = encoder.sample_views(images[:5])
    assert first.shape == second.shape == (5, 8, 8, 1)
    assert not np.array_equal(first, second)
    again = encoder.sample_views(images[:5])
    np.testing.assert_array_equal(first, again[0])
    assert not np.array_equal(first, encoder.sample_views(images[:5], random_state=1)[0])


def test_views_of_tables_are_in_the_units_of_the_columns(table):
    table = table * 100 + 1000
    encoder = SimCLRTransformer(2, max_epochs=1, random_state=0, augment=RandomFeatureCorruption(0.5)).fit(table)
    for view in encoder.sample_views(table):
        for column in range(6):
            assert np.isin(view[:, column].round(1), table[:, column].round(1)).mean() > 0.95
        assert 0.1 < (np.abs(view - table) > 0.1).mean() < 0.6


@pytest.mark.parametrize(
    ("backbone", "width"),
    [(ConvNet(4), 128), (ResNet(), 512), (nn.Sequential(nn.Flatten(), nn.Linear(64, 7)), 7)],
    ids=["ConvNet", "ResNet", "module"],
)
def test_backbones(backbone, width, images):
    encoder = quick(backbone=backbone, max_epochs=1).fit(images[:64])
    assert encoder.transform(images[:9]).shape == (9, width)
    assert quick(backbone=backbone, n_components=5, max_epochs=1).fit_transform(images[:64]).shape == (64, 5)


def test_a_module_begins_with_its_own_weights_and_keeps_them(images):
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 7))
    before = module[1].weight.clone()
    untrained = RandomEncoder(like=quick(backbone=module)).fit(images)
    assert torch.equal(untrained.net_.module_.encoder.backbone[1].weight, before)
    trained = quick(backbone=module).fit(images)
    assert not torch.equal(trained.net_.module_.encoder.backbone[1].weight, before)
    assert torch.equal(module[1].weight, before)


def test_a_layer_is_what_the_backbone_has_there(images):
    whole = quick().fit(images)
    backbone = whole.net_.module_.encoder.backbone
    x = torch.from_numpy(images[:64]).float()
    with torch.no_grad():
        block = backbone[1](backbone[0](whole.net_.module_.encoder.standardize(whole.net_.module_.encoder.scale(x))))
    for layer in ("1", 1, -3):
        part = quick(layer=layer).fit(images)
        assert torch.equal(weights(part), weights(whole))  # training is the same
        np.testing.assert_allclose(part.transform(images[:64]), block.mean((2, 3)), atol=1e-5)
    with pytest.raises(ValueError, match=r"layer='five'.*\['0', '1'"):
        quick(layer="five").fit(images)
    with pytest.raises(ValueError, match=r"layer=9\b.*\['0', '1'"):
        quick(layer=9).fit(images)
    assert quick(layer=0, n_components=3, backbone=nn.Sequential(nn.Conv2d(1, 6, 3), nn.Flatten())).fit_transform(
        images
    ).shape == (600, 6)


def test_parts_are_searched_by_name(images, digits):
    pipe = Pipeline([("enc", quick()), ("probe", LogisticRegression(max_iter=3000))])
    grid = {"enc__backbone__width": [2, 4], "enc__augment": ["flip", ["affine", GaussianNoise(0.1)]]}
    search = GridSearchCV(pipe, grid, cv=2).fit(images[:100], digits[1][:100])
    assert len(search.cv_results_["mean_test_score"]) == 4
    chain = quick(augment=Chain([RandomFlip(), GaussianNoise()])).set_params(augment__views=[RandomFlip()])
    assert chain.fit(images[:20]).n_epochs_ == 2


@pytest.mark.parametrize("n", [2, 3, 5, 33])
@pytest.mark.parametrize("batch_size", [2, 3, 32])
def test_no_batch_has_a_single_row(n, batch_size, images):
    sizes = []
    encoder = quick(batch_size=batch_size)
    original = encoder.objective
    encoder.objective = lambda outputs, target: (sizes.append(len(outputs) // 2), original(outputs, target))[1]
    encoder.fit(images[:n])
    assert min(sizes) >= 2
    assert sum(sizes) == 2 * n


BAD = {
    "batches of one": ({"batch_size": 1}, r"batch_size=1\b.*\b2\b"),
    "unknown view": ({"augment": "swirl"}, r"augment='swirl'.*'crop'"),
    "unknown view in a list": ({"augment": ["crop", "swirl"]}, r"'swirl'"),
    "a class": ({"augment": RandomFlip}, "augment=<class .*RandomFlip'>"),
    "bad view": ({"augment": RandomFlip(2.0)}, r"horizontal=2\.0"),
    "no view": ({"augment": MLP()}, r"augment=MLP\(\)"),
    "view of tables": ({"augment": RandomFeatureCorruption()}, r"Corruption.*\d, 1, 8, 8\).*RandomResizedCrop"),
    "output not 2-D": ({"backbone": nn.Conv2d(1, 2, 3)}, r"backbone=Conv2d\b.*\(2, 2, 6, 6\).*Flatten"),
    "output no tensor": ({"backbone": nn.Identity()}, r"backbone=Identity\b.*\(2, 1, 8, 8\)"),
    "channels do not fit": ({"backbone": nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten())}, r"\(1, 8, 8\).*channels"),
    "reach": ({"backbone": ResNet(stem="imagenet")}, "imagenet.*32x32.*8x8"),
    "backbone of tables": ({"backbone": MLP()}, r"MLP.*\(8, 8, 1\).*ConvNet"),
    "no backbone": ({"backbone": LogisticRegression()}, r"backbone=LogisticRegression\(\).*ConvNet\(\)"),
    "temperature": ({"temperature": 0}, r"temperature=0\b"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters(case, images):
    options, message = BAD[case]
    encoder = quick(**options)
    with pytest.raises(ValueError, match=message):
        encoder.fit(images)
    assert not hasattr(encoder, "net_")


def test_tables_take_no_convolutions(table):
    with pytest.raises(ValueError, match=r"\b6\b.*AsImages"):
        quick().fit(table)


@pytest.mark.parametrize("at", [(0, 1), (1, 3)])
def test_interrupted_and_resumed_is_the_same_to_the_bit(at, images, tmp_path):
    options = {"max_epochs": 3, "batch_size": 100, "validation_fraction": 0.1}
    whole = quick(**options).fit(images)
    with pytest.raises(KeyboardInterrupt):
        quick(**options, checkpoint=tmp_path, callbacks=[Ctrl(at, "raise")]).fit(images)
    resumed = quick(**options, checkpoint=tmp_path, layer=1).fit(images)  # the layer is no part of training
    assert resumed.resumed_from_ == at
    assert torch.equal(weights(resumed), weights(whole))
    assert resumed.history_ == whole.history_


def test_validation_never_stands_on_a_single_row(images):
    history = quick(max_epochs=3, early_stopping=3).fit(images[:8]).history_
    assert all(row["valid_loss"] > 0 for row in history)


def test_a_single_row_more(images):
    encoder = quick().fit(images)
    before = weights(encoder)
    with pytest.raises(ValueError, match=r"\brow\b.*\b2\b.*batch_size=None"):
        encoder.partial_fit(images[:1])
    assert torch.equal(weights(encoder), before)


class Unused(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.flat = nn.Flatten()
        self.block = nn.Linear(3, 3) if kind == "unused" else nn.MultiheadAttention(4, 1)
        self.kind = kind

    def forward(self, x):
        z = self.flat(x)
        return z if self.kind == "unused" else self.block(z[:, :4], z[:, :4], z[:, :4])[0]


@pytest.mark.parametrize(("kind", "message"), [("unused", "(?!.*tuple).*tensor"), ("tuple", ".*tuple")])
def test_layers_that_are_no_features_are_told_before_training(kind, message, images):
    with pytest.raises(ValueError, match=f"layer='block'{message}"):
        quick(backbone=Unused(kind), layer="block", callbacks=[Ctrl((0, 1), "raise")]).fit(images)


def test_frozen_parts_and_attributes_of_a_module_are_part_of_a_run(images, tmp_path):
    def module(frozen, gain):
        made = Scaled(gain)
        made.layers[frozen].requires_grad_(False)
        return made

    torch.manual_seed(0)
    state = Scaled(1.0).state_dict()
    runs = {}
    for frozen, gain in [(0, 1.0), (1, 1.0), (0, 5.0)]:
        backbone = module(frozen, gain)
        backbone.load_state_dict(state)
        with_folder = quick(backbone=backbone, checkpoint=tmp_path).fit(images)
        assert with_folder.resumed_from_ is None
        alone = quick(backbone=backbone).fit(images)
        assert torch.equal(weights(with_folder), weights(alone))
        runs[frozen, gain] = weights(alone)
    assert not torch.equal(runs[0, 1.0], runs[1, 1.0])


class Scaled(nn.Module):
    def __init__(self, gain):
        super().__init__()
        self.layers, self.gain = nn.ModuleList([nn.Linear(64, 8), nn.Linear(8, 8)]), gain

    def forward(self, x):
        return self.layers[1](torch.relu(self.gain * self.layers[0](x.flatten(1))))


class Careless(BaseEstimator):
    """A user's view that draws from torch's global generator."""

    def __call__(self, x, generator):
        return x + 0.1 * torch.randn(x.shape)


@pytest.mark.parametrize(
    "augment",
    [
        pytest.param(Careless(), id="one", marks=pytest.mark.exhaustive),
        pytest.param(["affine", Careless()], id="list"),
        pytest.param(Chain([Careless()]), id="chain", marks=pytest.mark.exhaustive),
    ],
)
def test_views_that_draw_from_anywhere_are_seeded_too(augment, images):
    before = torch.get_rng_state()
    first, second = (quick(augment=augment, max_epochs=20).fit(images[:40]) for _ in range(2))
    assert torch.equal(weights(first), weights(second))
    for a, b in zip(first.sample_views(images[:4]), second.sample_views(images[:4]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.exhaustive
def test_the_choice_of_epochs_draws_nothing_from_views(images):
    first, second = (quick(augment=Careless(), max_epochs=n).fit(images[:40]) for n in (None, 200))
    assert torch.equal(weights(first), weights(second))


def test_warm_start_keeps_the_units_of_the_first_images(images):
    pixels = (images * 15).astype(np.uint8)
    encoder = quick(warm_start=True).fit(pixels)
    before = encoder.transform(pixels)
    with pytest.raises(ValueError, match=r"\b255\b.*\b1\b.*255 \* X"):
        encoder.fit(pixels / 255)
    np.testing.assert_array_equal(encoder.transform(pixels), before)
    encoder.fit(pixels.astype(np.float32)).transform(pixels)


def test_later_rows_are_not_counted_again(images, monkeypatch):
    encoder = quick(max_epochs=None).partial_fit(images[:64])
    monkeypatch.setattr("skrep.engine.recipe.training_flops", None)  # would run the network on the CPU, wherever it is
    encoder.partial_fit(images[:64])


def test_a_module_with_other_convolutions(table):
    backbone = nn.Sequential(nn.Unflatten(1, (1, 1, 2, 3)), nn.Conv3d(1, 4, 1), nn.Flatten())
    assert SimCLRTransformer(backbone=backbone, max_epochs=1).fit_transform(table).shape == (60, 24)


@pytest.mark.parametrize(("n", "batch_size"), [(20, 32), (600, 64), (5000, 128), (10**6, 128)])
def test_batches_grow_with_the_data(n, batch_size):
    sizes = []

    class Stop(Callback):
        def on_train_begin(self, net, **kwargs):
            sizes.append(net.batch_size)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SimCLRTransformer(max_epochs=1, callbacks=[Stop()]).fit(np.broadcast_to(np.uint8(0), (n, 8, 8, 1)))
    assert sizes == [batch_size]
