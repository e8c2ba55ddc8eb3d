"""Classes and functions of a user's own in files, what cannot be saved, and devices that are not there."""

import collections
import copy
import os
import pickle
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch.callbacks import EpochTimer, Freezer
from skorch.exceptions import DeviceWarning
from torch import Tensor, nn

import skrep
from skrep import AutoEncoderTransformer, RandomEncoder, SimCLRTransformer, TorchTransformer
from skrep.exceptions import ModelFileError
from skrep.params import Real, param, params
from tests.methods import Simple
from tests.persistence.hostile_files import Draft

ROWS = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


class Tied(nn.Module):
    """Weights that two layers share, a frozen layer, buffers that state_dict has and has not, a list of parameters."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.frozen = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 4)
        self.second.weight = self.first.weight
        self.frozen.requires_grad_(False)
        self.register_buffer("shift", torch.randn(4, generator=torch.Generator().manual_seed(0)))
        self.register_buffer("scale", torch.randn(4, generator=torch.Generator().manual_seed(1)), persistent=False)
        self.register_buffer("nothing", None)
        self.gains = nn.ParameterList([torch.ones(4), torch.ones(4)])
        self.options = {"power": 2, "names": ("a", "b"), 3: [None, torch.ones(1)]}

    def forward(self, x: Tensor) -> Tensor:
        x = self.frozen(self.second(torch.tanh(self.first(x))))
        return (x * self.scale + self.shift) * self.gains[0] + self.gains[1] * self.options["power"]


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 4, num_layers=2, bidirectional=True, batch_first=True, dropout=0.1)
        self.gru = nn.GRU(8, 3, batch_first=True)
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        steps, _ = self.lstm(x[:, :, None])  # (batch, columns) -> (batch, columns, 8)
        return self.norm(self.gru(steps)[0][:, -1])


class Counting(nn.Module):
    """Holds what it learned in a number, which is no weight."""

    def __init__(self):
        super().__init__()
        self.linear, self.seen = nn.Linear(6, 3), 0.0

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen += 1.0
        return self.linear(x) * self.seen


class Activated(nn.Module):
    """Holds a function, which is no part of its ``repr``."""

    def __init__(self, function: Any):
        super().__init__()
        self.linear, self.function = nn.Linear(6, 3), function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.linear(x))


class OwnLSTM(nn.LSTM):
    def __init__(self):
        super().__init__(1, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[:, :, None])[0][:, -1]  # (batch, columns) -> (batch, 3)


class Falling:
    """A schedule that is a plain object."""

    def __init__(self, to: float):
        self.to = to

    def __call__(self, done: float) -> float:
        return 1 - (1 - self.to) * done

    def __repr__(self) -> str:
        return f"Falling({self.to})"


class Constant:
    """A schedule without attributes."""

    def __call__(self, done: float) -> float:
        return 1.0

    def __repr__(self) -> str:
        return "Constant()"


@params
class Scaled(BaseEstimator):
    """A view with parameters."""

    by: float = param(Real(low=0), default=0.1)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return x * (1 + self.by * torch.empty_like(x).normal_(generator=generator))


def falling(done: float) -> float:
    return 1 - 0.5 * done


class Bounded(TorchTransformer):
    """A network with a number of the data's in it, which is no weight."""

    def make_module(self, data: Any) -> nn.Module:
        low, high = data.range()
        return nn.Sequential(
            collections.OrderedDict(encoder=nn.Sequential(nn.Hardtanh(low / 2, high / 2), nn.Linear(6, 3)))
        )

    def make_views(self, data: Any, module: nn.Module) -> Any:
        return lambda batch, generator: (batch.x, batch.x)

    def objective(self, outputs: Tensor, target: Tensor) -> Tensor:
        return outputs.square().mean()


class Words(dict):
    pass


class Numbers(list):
    pass


class Whole(int):
    pass


class Shape(tuple):
    pass


class Remembers:
    """Takes part in what becomes of it in a pickle."""

    def __init__(self):
        self.value = 1

    def __reduce__(self):
        return Remembers, ()


def fit(estimator: Any) -> Any:
    return estimator.set_params(max_epochs=2, random_state=0).fit(ROWS)


def trained_further(estimator: Any) -> np.ndarray:
    return estimator.partial_fit(ROWS[:20]).partial_fit(ROWS[20:]).transform(ROWS)


OWN: dict[str, tuple[Any, list[Any]]] = {
    "backbone": (SimCLRTransformer(backbone=Tied()), [Tied]),
    "recurrent backbone": (SimCLRTransformer(2, backbone=Recurrent()), [Recurrent]),
    "recurrent layer": (SimCLRTransformer(backbone=OwnLSTM()), [OwnLSTM]),
    "backbone in a Sequential": (SimCLRTransformer(backbone=nn.Sequential(Tied(), nn.ReLU())), [Tied]),
    "backbone, and one of its blocks": (SimCLRTransformer(backbone=nn.Sequential(Tied(), nn.ReLU()), layer=0), [Tied]),
    "method": (Simple(noise=0.2), [Simple]),
    "view that is a part": (SimCLRTransformer(2, augment=Scaled(0.2)), [Scaled]),
    "views in a list": (SimCLRTransformer(2, augment=["noise", Scaled(0.2)]), [Scaled]),
    "schedule that is an object": (AutoEncoderTransformer(2, lr_schedule=Falling(0.5)), [Falling]),
    "schedule without attributes": (AutoEncoderTransformer(2, lr_schedule=Constant()), [Constant]),
    "schedule": (AutoEncoderTransformer(2, hidden=(8,), lr_schedule=falling), [falling]),
}


@pytest.mark.parametrize("case", OWN)
def test_what_is_a_users_own_is_trusted_or_refused(case, tmp_path):
    estimator, trusted = copy.deepcopy(OWN[case])
    path = tmp_path / "file"
    skrep.save(estimator, path)
    assert repr(skrep.load(path, trusted)) == repr(estimator)
    skrep.save(fit(estimator), path)
    for i in range(len(trusted)):
        with pytest.raises(ModelFileError, match=rf"{trusted[i].__name__}.*trusted=\["):
            skrep.load(path, trusted[:i] + trusted[i + 1 :])
    loaded = skrep.load(path, iter(trusted))
    np.testing.assert_array_equal(loaded.transform(ROWS), estimator.transform(ROWS))
    with_pickle = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(trained_further(loaded), trained_further(with_pickle))
    skrep.save(make_pipeline(StandardScaler(), RandomEncoder(like=estimator)), path)
    with pytest.raises(ModelFileError, match="trusted"):
        skrep.load(path)
    skrep.load(path, trusted)


def test_what_is_not_asked_for_may_be_trusted_too(tmp_path):
    skrep.save(FunctionTransformer(np.log1p), tmp_path / "file")
    loaded = skrep.load(tmp_path / "file", trusted={Tied, falling, np.log1p, StandardScaler, nn.Linear})
    assert loaded.func is np.log1p


def test_only_what_has_a_name_is_trusted(tmp_path):
    skrep.save(FunctionTransformer(), tmp_path / "file")
    for thing in (lambda done: 1, Tied(), "tests.methods.Simple"):
        with pytest.raises(TypeError):
            skrep.load(tmp_path / "file", trusted=[thing])


def test_what_is_trusted_is_trusted_with_its_own_numbers_alone(tmp_path):
    made = Draft(fit(SimCLRTransformer(backbone=OwnLSTM())))
    made.write(tmp_path / "file")
    skrep.load(tmp_path / "file", [OwnLSTM])
    made.network["attributes"] = {"dict": {"encoder.backbone": {"dict": {"hidden_size": 20_000}}}}
    made.write(tmp_path / "file")
    with pytest.raises(ModelFileError):  # compiled code would read far beyond the weights
        skrep.load(tmp_path / "file", [OwnLSTM])


BACKBONES = {
    "Sequential": nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Dropout(0.1), nn.Linear(8, 3)),
    "nested": nn.Sequential(collections.OrderedDict(a=nn.Sequential(nn.Linear(6, 4), nn.PReLU()), b=nn.LayerNorm(4))),
    "convolutions": nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 3, 3), nn.ReLU(), nn.Flatten()),
    "attention": nn.Sequential(
        nn.Unflatten(1, (3, 2)), nn.TransformerEncoderLayer(2, 1, 4, batch_first=True), nn.Flatten()
    ),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_backbones_of_torch_need_no_trust(name, tmp_path):
    estimator = fit(SimCLRTransformer(backbone=copy.deepcopy(BACKBONES[name])))
    skrep.save(estimator, tmp_path / "file")
    loaded = skrep.load(tmp_path / "file")
    np.testing.assert_array_equal(loaded.transform(ROWS), estimator.transform(ROWS))
    with_pickle = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(trained_further(loaded), trained_further(with_pickle))
    np.testing.assert_array_equal(fit(loaded).transform(ROWS), fit(estimator).transform(ROWS))


def test_how_a_backbone_hangs_together(tmp_path):
    estimator = fit(SimCLRTransformer(backbone=Tied()))
    skrep.save(estimator, tmp_path / "file")
    loaded = skrep.load(tmp_path / "file", [Tied])
    for module in (loaded.backbone, loaded.net_.module_.encoder.backbone):
        assert module.first.weight is module.second.weight
        assert not any(parameter.requires_grad for parameter in module.frozen.parameters())
        assert all(parameter.requires_grad for parameter in module.first.parameters())
        assert "scale" not in module.state_dict()
        assert module.nothing is None
        assert module.options["names"] == ("a", "b")
    for one, other in [(loaded, estimator), (loaded.net_.module_, estimator.net_.module_)]:
        for name in ("backbone",) if one is loaded else ("encoder",):
            before, after = getattr(other, name), getattr(one, name)
            assert before.state_dict().keys() == after.state_dict().keys()
            assert all(torch.equal(before.state_dict()[k], after.state_dict()[k]) for k in before.state_dict())


# --- what is not among parameters, attributes and weights -------------------------------------------------------------


def same_or_refused(estimator: Any, path: Path, trusted: Any = ()) -> None:
    """A file that gives other features than what was saved is the one thing that must not be."""
    try:
        skrep.save(estimator, path)
    except TypeError as error:
        assert type(estimator).__name__ in str(error)  # noqa: PT017
        assert not path.exists()
        return
    loaded = skrep.load(path, trusted)
    np.testing.assert_array_equal(loaded.transform(ROWS), estimator.transform(ROWS))


@pytest.mark.parametrize(
    "change",
    [{"activation": "relu"}, {"hidden": (9,)}, {"hidden": (8, 8)}, {"n_components": 3}, {"tied": True},
     {"loss": "bernoulli"}, {"noise": 0.1}, {"max_epochs": 9}, {"lr": -1}, {"backbone": nn.Linear(2, 2)}],
    ids=str,
)  # fmt: skip
def test_parameters_that_changed_after_fit(change, tmp_path):
    estimator = fit(AutoEncoderTransformer(2, hidden=(8,))).set_params(**change)
    same_or_refused(estimator, tmp_path / "file")


def test_a_layer_that_changed_after_fit(tmp_path):
    estimator = fit(SimCLRTransformer(backbone=nn.Sequential(nn.Linear(6, 3), nn.ReLU(), nn.Identity()), layer=0))
    same_or_refused(estimator.set_params(layer=1), tmp_path / "layer")
    estimator = fit(SimCLRTransformer(backbone=nn.Sequential(nn.Linear(6, 3), nn.ReLU())))
    same_or_refused(estimator.set_params(backbone=nn.Sequential(nn.Linear(6, 3), nn.Tanh())), tmp_path / "backbone")


@pytest.mark.parametrize("after", [nn.functional.elu, torch.cos, np.tanh, falling])
def test_a_function_that_changed_after_fit(after, tmp_path):
    estimator = fit(SimCLRTransformer(backbone=Activated(nn.functional.relu)))
    same_or_refused(estimator.set_params(backbone=Activated(after)), tmp_path / "file", [Activated, falling])


def test_a_network_that_holds_more_than_weights(tmp_path):
    same_or_refused(fit(SimCLRTransformer(backbone=Counting())), tmp_path / "file", [Counting])


def test_a_network_with_numbers_of_the_data(tmp_path):
    same_or_refused(fit(Bounded()), tmp_path / "file", [Bounded])


def test_a_network_that_was_changed_by_hand(tmp_path):
    estimator = fit(AutoEncoderTransformer(2, hidden=(8,)))
    estimator.net_.module_.encoder.backbone[1] = nn.ReLU()
    same_or_refused(estimator, tmp_path / "file")


def test_what_was_frozen_after_fit(tmp_path):
    estimator = fit(AutoEncoderTransformer(2, hidden=(8,)))
    for parameter in [*estimator.net_.module_.parameters()][:2]:
        parameter.requires_grad_(False)
    skrep.save(estimator, tmp_path / "file")
    loaded, with_pickle = skrep.load(tmp_path / "file"), pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(trained_further(loaded), trained_further(with_pickle))


# --- what cannot be saved ---------------------------------------------------------------------------------------------


def hooked() -> nn.Module:
    module = nn.Linear(6, 3)
    module.register_forward_hook(print)
    return nn.Sequential(nn.ReLU(), module)


def of_a_local_class() -> Any:
    class Local(nn.Linear):
        pass

    return Local(6, 3)


def in_itself() -> list[Any]:
    made: list[Any] = [1]
    made.append({"made": made})
    return made


def deep(n: int) -> Any:
    return {"a": deep(n - 1)} if n else 1


UNSAVEABLE: dict[str, tuple[Any, str, str]] = {
    # what, where it stands, what to do about it
    "lambda": (AutoEncoderTransformer(lr_schedule=lambda done: 1.0), "lr_schedule", r"\bmodule\b.*\bdef\b"),
    "local function": (FunctionTransformer(deep.__get__(3)), "func", ""),
    "local class": (SimCLRTransformer(backbone=of_a_local_class()), "backbone", r"\bmodule\b.*\bdef\b"),
    "hooks": (SimCLRTransformer(backbone=hooked()), r"backbone\.1", "hooks"),
    "parametrized": (
        SimCLRTransformer(backbone=nn.utils.parametrizations.spectral_norm(nn.Linear(6, 3))), "backbone", "",
    ),
    "callback": (AutoEncoderTransformer(callbacks=[EpochTimer()]), r"callbacks\[0\]", r"\bNone\b"),
    "callback in a step": (
        make_pipeline(AutoEncoderTransformer(callbacks=[("freeze", Freezer("x"))])), r"callbacks\[0\]\[1\]", "",
    ),
    "lock": (AutoEncoderTransformer(net_params={"a": threading.Lock()}), r"net_params\['a'\]", ""),
    "generator": (AutoEncoderTransformer(net_params={"a": (i for i in range(3))}), r"net_params\['a'\]", ""),
    "module": (AutoEncoderTransformer(net_params={"a": np}), r"net_params\['a'\]", ""),
    "NumPy's generator": (
        FunctionTransformer(kw_args={"r": np.random.Generator(np.random.Philox(0))}), r"kw_args\['r'\]", "",
    ),
    "torch's generator": (FunctionTransformer(kw_args={"r": torch.Generator()}), r"kw_args\['r'\]", ""),
    "list in itself": (AutoEncoderTransformer(net_params={"a": in_itself()}), "net_params", "itself"),
    "200 dicts": (AutoEncoderTransformer(net_params=deep(200)), "net_params", r"\bnested\b"),
    "dict of a subclass": (FunctionTransformer(kw_args={"r": Words(a=1)}), r"kw_args\['r'\]", ""),
    "list of a subclass": (FunctionTransformer(kw_args={"r": Numbers([1])}), r"kw_args\['r'\]", ""),
    "int of a subclass": (FunctionTransformer(kw_args={"r": Whole(7)}), r"kw_args\['r'\]", ""),
    "tuple of a subclass": (FunctionTransformer(kw_args={"r": Shape((1,))}), r"kw_args\['r'\]", ""),
    "own way to be pickled": (FunctionTransformer(kw_args={"r": Remembers()}), r"kw_args\['r'\]", ""),
    "counter": (FunctionTransformer(kw_args={"r": collections.Counter("a")}), r"kw_args\['r'\]", ""),
    "array of objects": (FunctionTransformer(kw_args={"r": np.array([threading.Lock(), 1])}), r"kw_args\['r'\]", ""),
    "sparse tensor": (FunctionTransformer(kw_args={"r": torch.eye(3).to_sparse()}), r"kw_args\['r'\]", "dense"),
    "tensor without memory": (FunctionTransformer(kw_args={"r": torch.ones(3, device="meta")}), r"kw_args\['r'\]", ""),
    "tensor of halves of complex": (
        FunctionTransformer(kw_args={"r": torch.zeros(8, dtype=torch.uint8).view(torch.complex32)}),
        r"kw_args\['r'\]",
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNSAVEABLE)
def test_what_cannot_be_saved_is_told_by_its_place(case, tmp_path):
    estimator, place, fix = UNSAVEABLE[case]
    with pytest.raises(TypeError, match=f"{place}.*{fix}") as raised:
        skrep.save(estimator, tmp_path / "file")
    message = str(raised.value)
    assert len(message) < 700
    assert message.isprintable()
    assert message.count(type(estimator).__name__) >= 1
    assert os.listdir(tmp_path) == []


def test_an_open_file_cannot_be_saved(tmp_path):
    with (tmp_path / "notes").open("w") as file, pytest.raises(TypeError, match=r"kw_args\['r'\]"):
        skrep.save(FunctionTransformer(kw_args={"r": file}), tmp_path / "file")
    assert os.listdir(tmp_path) == ["notes"]


READ_BACK = {
    "dtype of columns": np.dtype([("name", "<i4"), ("other", "<f8")]),
    "row of columns": np.array([(1, 2.0)], dtype=[("name", "<i4"), ("other", "<f8")])[0],
    "columns with names of all alphabets": np.zeros(2, dtype=[("名", "i4"), ("é", "f8")]),
    "1000 columns": np.zeros(2, dtype=[(f"column {i}", "f8") for i in range(1000)]),
    "40 axes": np.zeros((1,) * 40),
    "empty bytes": np.bytes_(b""),
    "types without a size": np.zeros(2, "V0"),
    "no columns": np.zeros((2, 0, 3)),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "every second": np.arange(10.0)[::-2],
    "other byte order": np.arange(3, dtype=">i8"),
    "text": np.array(["a", "名", ""]),
    "times": np.array(["2020-01-01", "NaT"], dtype="M8[s]"),
    "halves": np.float16(0.1),
    "masked": np.ma.masked_array([1.0, 2.0], [True, False]),
    "98 tuples": (lambda inside: [inside := (inside,) for _ in range(97)][-1])(()),
}


@pytest.mark.parametrize("case", READ_BACK)
def test_what_is_saved_is_read_back(case, tmp_path):
    value = READ_BACK[case]
    try:
        skrep.save(FunctionTransformer(kw_args={"value": value}), tmp_path / "file")
    except TypeError:
        return
    read = skrep.load(tmp_path / "file").kw_args["value"]
    assert type(read) is type(value)
    if isinstance(value, np.ndarray):
        assert read.dtype == value.dtype
        np.testing.assert_array_equal(read, value)
    else:
        assert pickle.dumps(read) == pickle.dumps(value)


def test_text_and_numbers_of_all_kinds(tmp_path):
    text = ["", "\0", "\ud800", '"\\', "[{" * 100, b"\xff"]
    values = [*text, 2**63, -(2**63), 10**300, -0.0, float("inf"), 5e-324, None, True]
    skrep.save(FunctionTransformer(kw_args={"values": values}), tmp_path / "file")
    assert repr(skrep.load(tmp_path / "file").kw_args["values"]) == repr(values)


# --- devices --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
@pytest.mark.parametrize("make", [AutoEncoderTransformer, SimCLRTransformer, RandomEncoder])
def test_files_of_a_device_that_is_not_there(make, tmp_path):
    estimator = make(2, random_state=0)
    estimator = (estimator if make is RandomEncoder else estimator.set_params(max_epochs=1)).fit(ROWS)
    expected = estimator.transform(ROWS)
    estimator.device = "cuda"
    skrep.save(estimator, tmp_path / "file")
    with pytest.warns(DeviceWarning, match=r"device='cuda'.*\bCPU\b") as told:
        loaded = skrep.load(tmp_path / "file")
    assert len(told) == 1
    np.testing.assert_array_equal(loaded.transform(ROWS), expected)
    assert loaded.device == "cuda"
    if make is not RandomEncoder:
        loaded.partial_fit(ROWS)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_pickles_of_a_device_that_is_not_there():
    estimator = AutoEncoderTransformer(2, max_epochs=1, random_state=0).fit(ROWS)
    expected = estimator.transform(ROWS)
    estimator.net_.device = "cuda"
    pickled = pickle.dumps(estimator)
    with pytest.warns(DeviceWarning) as told:
        loaded = pickle.loads(pickled)
    assert {warning.category for warning in told} == {DeviceWarning}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(loaded.transform(ROWS), expected)
        loaded.inverse_transform(expected)
        loaded.partial_fit(ROWS)
