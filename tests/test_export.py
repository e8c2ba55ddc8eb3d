"""onnxruntime, which shares no code with torch, is what the files are held against."""

import doctest
import logging
import random
import sys
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import nn

import skrep
import skrep.export
from skrep import AutoEncoderTransformer, PCAEncoder, RandomEncoder, SimCLRTransformer
from skrep.backbones import MLP, ConvNet, ResNet, WideAndDeep
from skrep.export import export_onnx
from tests.estimators import NETWORKS, TAKES_IMAGES, quick
from tests.methods import Simple

onnx = pytest.importorskip("onnx", reason="export_onnx needs the packages of the extra onnx")
pytest.importorskip("onnxscript", reason="export_onnx needs the packages of the extra onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="the files are run by onnxruntime")

# Largest difference, as a share of the largest feature: a hundred roundings of float32. Measured: 6e-7.
TOLERANCE = 1e-5

RNG = np.random.default_rng(0)
ROWS = (RNG.normal(size=(300, 6)) * [0.2, 1, 1, 1, 1, 10] + [0, 0, 0, 100, 0, 0]).astype(np.float32)
PIXELS = RNG.integers(0, 256, size=(300, 8, 10, 3), dtype=np.uint8)
FLOATS = (PIXELS[..., :1] / 255 * 3 - 1).astype(np.float32)


class Tokens(nn.Module):
    """Attention over the columns of an image; its block gives (batch, tokens, channels)."""

    def __init__(self):
        super().__init__()
        self.first = nn.Parameter(torch.ones(1, 1, 24))
        self.block = nn.TransformerEncoderLayer(24, 2, 16, batch_first=True)
        self.norm = nn.LayerNorm(24)

    def forward(self, x):
        tokens = x.permute(0, 3, 1, 2).flatten(2)  # (batch, channels, height, width) -> (batch, width, c * h)
        tokens = torch.cat([self.first.expand(x.shape[0], -1, -1), tokens], 1)
        return self.norm(self.block(tokens))[:, 0]


class Half(nn.Linear):
    """Works in another precision than the features have."""

    def forward(self, x):
        return super().forward(x.double())


def foreign() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, groups=3), nn.BatchNorm2d(6), nn.GELU(), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(6, 5)),
    )  # fmt: skip


def quick_on_images(cls: type) -> Any:
    return quick(cls, hidden=None, backbone=ConvNet(2), max_epochs=1)


def simclr(backbone: Any, **options: Any) -> SimCLRTransformer:
    return SimCLRTransformer(backbone=backbone, max_epochs=1, random_state=0, **options)


CASES = {
    **{name: (quick(cls), ROWS) for name, cls in NETWORKS.items()},
    **{f"{name}-uint8": (quick_on_images(cls), PIXELS) for name, cls in TAKES_IMAGES.items()},
    **{f"{name}-float": (quick_on_images(cls), FLOATS) for name, cls in TAKES_IMAGES.items()},
    "tied": (AutoEncoderTransformer(3, hidden=(7,), tied=True, max_epochs=1, random_state=0), ROWS),
    "MLP": (simclr(MLP((8,), activation="silu"), n_components=3), ROWS),
    "WideAndDeep-layer": (simclr(WideAndDeep(), layer="deep.1"), ROWS),
    "ConvNet-layer": (simclr(ConvNet(2), layer=1), PIXELS),
    "ResNet-layer": (RandomEncoder(like=simclr(ResNet(18, "cifar"), layer="layer2"), random_state=0), PIXELS[:, :8]),
    "foreign": (simclr(foreign()), PIXELS),
    "tokens-layer": (simclr(Tokens(), layer="block"), PIXELS),
    "double": (RandomEncoder(like=simclr(Half(6, 4, dtype=torch.float64))), ROWS),
    "own-method": (Simple(max_epochs=1, random_state=0), ROWS),
}


def run(path: Any, X: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (features,) = session.run(["features"], {"X": X.astype(np.float32)})
    return features


# one class of each reader of images, as in test_contract.py
MANY = {f"{name}-{units}" for name in TAKES_IMAGES.keys() - {"SimCLRTransformer"} for units in ("uint8", "float")}
MANY |= {"MLP", "WideAndDeep-layer", "ConvNet-layer", "ResNet-layer", "MoCoTransformer", "RandomEncoder"}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.exhaustive if case in MANY else ()) for case in CASES]
)
def test_features_are_those_of_transform(case, tmp_path):
    encoder, X = CASES[case]
    encoder.fit(X[:40])
    path = tmp_path / "encoder.onnx"
    export_onnx(encoder, path)
    assert list(tmp_path.iterdir()) == [path]
    for n in (1, 3, 300):
        features, expected = run(path, X[:n]), encoder.transform(X[:n])
        assert features.shape == expected.shape
        assert features.dtype == np.float32
        assert np.abs(features - expected).max() <= TOLERANCE * np.abs(expected).max()


@pytest.fixture(scope="module")
def fitted() -> SimCLRTransformer:
    return simclr(ConvNet(2)).fit(PIXELS[:40])


def test_the_file_says_what_it_is(fitted, tmp_path):
    export_onnx(fitted, str(tmp_path / "encoder.onnx"))
    onnx.checker.check_model(tmp_path / "encoder.onnx", full_check=True)
    model = onnx.load(tmp_path / "encoder.onnx")
    (x,), (features,) = model.graph.input, model.graph.output
    assert (x.name, features.name) == ("X", "features")
    shapes = [[d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim] for value in (x, features)]
    assert shapes == [["n_samples", 8, 10, 3], ["n_samples", 64]]
    assert {value.type.tensor_type.elem_type for value in (x, features)} == {onnx.TensorProto.FLOAT}
    assert (model.producer_name, model.producer_version) == ("skrep", skrep.__version__)
    assert "SimCLRTransformer" in model.doc_string
    content = (tmp_path / "encoder.onnx").read_bytes()
    assert b".py" not in content  # no paths of the machine that wrote it
    export_onnx(fitted, tmp_path / "encoder.onnx")
    assert (tmp_path / "encoder.onnx").read_bytes() == content


def test_nothing_else_happens(fitted, tmp_path, capfd, caplog):
    module = fitted.net_.module_.train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    attributes = dict(vars(fitted))
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    generators = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    export_onnx(fitted, tmp_path / "encoder.onnx")
    assert torch.equal(torch.get_rng_state(), generators[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == generators[1:]
    assert vars(fitted) == attributes
    assert all(part.training for part in module.modules())
    assert before.keys() == module.state_dict().keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_network_on_a_gpu_stays_there(fitted, tmp_path):
    fitted.net_.module_.cuda()
    try:
        export_onnx(fitted, tmp_path / "encoder.onnx")
        assert {tensor.device.type for tensor in fitted.net_.module_.parameters()} == {"cuda"}
    finally:
        fitted.net_.module_.cpu()
    assert np.allclose(run(tmp_path / "encoder.onnx", PIXELS), fitted.transform(PIXELS), atol=1e-5)


@pytest.mark.parametrize(
    ("what", "got"),
    [
        (PCAEncoder(2).fit(ROWS), "PCAEncoder"),
        (LogisticRegression(), "LogisticRegression"),
        (make_pipeline(SimCLRTransformer(), LogisticRegression()), "Pipeline"),
        (SimCLRTransformer, "class SimCLRTransformer"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_network(what, got, tmp_path):
    with pytest.raises(TypeError, match=rf"export_onnx.*\b{got}\b.*Pipeline.*skl2onnx"):
        export_onnx(what, tmp_path / "encoder.onnx")


def test_before_fit(tmp_path):
    with pytest.raises(NotFittedError):
        export_onnx(SimCLRTransformer(), tmp_path / "encoder.onnx")


@pytest.mark.parametrize("package", ["onnxscript", "onnx_ir.passes.common"])
def test_without_the_packages(fitted, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"skrep\[onnx\]"):
        export_onnx(fitted, tmp_path / "encoder.onnx")


class Gain(nn.Module):
    """Something to learn."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))


class Counts(Gain):
    """Gives other features to the first rows it sees."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.gain * x / self.calls


class ForFewRows(Gain):
    def forward(self, x):
        return 2 * x if x.shape[0] < 300 else self.gain * x


class Bessel(Gain):
    def forward(self, x):
        return torch.special.bessel_j0(self.gain * x)


@pytest.mark.parametrize(
    ("backbone", "cause"),
    [(Counts(), "mutated"), (ForFewRows(), "Constraints violated"), (Bessel(), "No ONNX function found .*bessel_j0")],
)
def test_what_onnx_cannot_say(backbone, cause, tmp_path):
    (tmp_path / "encoder.onnx").write_text("as it was")
    encoder = RandomEncoder(like=SimCLRTransformer(backbone=backbone)).fit(ROWS)
    with pytest.raises(ValueError, match=f"RandomEncoder .*ONNX.*{cause}") as raised:
        export_onnx(encoder, tmp_path / "encoder.onnx")
    assert "\n" not in str(raised.value)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["as it was"]


def test_weights_that_one_file_cannot_hold(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr(skrep.export, "MAX_WEIGHT_BYTES", 10_000)
    with pytest.raises(ValueError, match=r"\bGB\b.*ONNX.*backbone"):
        export_onnx(fitted, tmp_path / "encoder.onnx")


def test_a_folder_that_is_not_there(fitted, tmp_path):
    with pytest.raises(FileNotFoundError):
        export_onnx(fitted, tmp_path / "nowhere" / "encoder.onnx")


def test_the_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = doctest.DocTestFinder(recurse=False).find(export_onnx, "export_onnx", skrep.export)
    for line in example.examples:
        line.options.clear()  # skipped where the packages may be absent
    assert doctest.DocTestRunner().run(example).failed == 0
