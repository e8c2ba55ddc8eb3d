"""What people do with save and load, beside what every estimator promises in the contract."""

import functools
import importlib
import os
import stat
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.cluster import FeatureAgglomeration, KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, StandardScaler
from torch import Tensor, nn

import skrep
from skrep import AutoEncoderTransformer, PCAEncoder, RandomEncoder, SimCLRTransformer
from skrep.exceptions import ModelFileError
from tests.methods import Simple

ROWS = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


def fit(estimator):
    return estimator.set_params(max_epochs=1, random_state=0).fit(ROWS)


class Activated(nn.Module):
    """A class attribute that instances replace."""

    activation = nn.ReLU

    def __init__(self, activation):
        super().__init__()
        self.activation = activation
        self.linear = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation()(self.linear(x))


class WithMemory(KMeans):
    def __init__(self, n_clusters=2, *, memory=5):
        super().__init__(n_clusters)
        self.memory = memory


class Scaler(BaseEstimator):
    """Replaces a method of scikit-learn's."""

    def fit(self, X, y=None):
        self.get_params = dict
        return self


class Normalised(nn.Sequential):
    """Keeps a partial, as many published networks do."""

    def __init__(self):
        super().__init__(nn.Linear(6, 3))
        self.norm = functools.partial(nn.LayerNorm, eps=1e-3)


class Wide(Simple):
    """Its encoder has a `width` of its own, which is no number."""

    def make_module(self, data):
        module = super().make_module(data)
        module.encoder.width = "wide"
        return module


def test_an_encoder_may_call_anything_its_width(tmp_path):
    estimator = fit(Wide())
    skrep.save(estimator, tmp_path / "file")
    loaded = skrep.load(tmp_path / "file", [Wide])
    np.testing.assert_array_equal(loaded.transform(ROWS), estimator.transform(ROWS))


def test_a_class_attribute_may_be_replaced_by_the_users_own_instances(tmp_path):
    estimator = fit(SimCLRTransformer(backbone=Activated(nn.Tanh)))
    skrep.save(estimator, tmp_path / "file")
    loaded = skrep.load(tmp_path / "file", [Activated])
    np.testing.assert_array_equal(loaded.transform(ROWS), estimator.transform(ROWS))


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (Scaler().fit(None), r"Scaler\b.*get_params"),
        (
            FunctionTransformer(kw_args={"v": {(2**61 - 1) * i: 1 for i in range(70)}}),
            r"kw_args\['v'\].*\b70\b.*\bhash\b",
        ),
        (FunctionTransformer(kw_args={"v": np.ma.masked}), r"kw_args\['v'\].*MaskedConstant"),
        (FunctionTransformer(np.clip), r"FunctionTransformer\.func\b.*\bclip\b"),
        (TfidfVectorizer(tokenizer=str.split), r"TfidfVectorizer\.tokenizer\b.*method_descriptor"),
        (GridSearchCV(KMeans(), {}, cv=(part for part in ())), r"GridSearchCV\.cv\b.*generator"),
        (SimCLRTransformer(backbone=Normalised()), r"backbone\.norm"),
        (SimCLRTransformer(backbone=nn.Sequential(nn.LazyLinear(3))), r"backbone\b.*LazyLinear\b.*\bsizes\b"),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_what_load_would_refuse_is_not_saved(estimator, message, tmp_path):
    with pytest.raises(TypeError, match=message):
        skrep.save(estimator, tmp_path / "file")
    assert not os.listdir(tmp_path)


def test_a_fitted_network_that_keeps_a_partial_is_refused_for_that(tmp_path):
    with pytest.raises(TypeError, match=r"backbone\.norm"):
        skrep.save(fit(SimCLRTransformer(backbone=Normalised())), tmp_path / "file")


def test_a_class_of_the_script_that_saved_it(tmp_path, monkeypatch):
    (tmp_path / "training.py").write_text(
        "import sys, torch, skrep\n"
        "class Backbone(torch.nn.Sequential):\n    pass\n"
        "if __name__ == '__main__':\n"
        "    skrep.save(skrep.SimCLRTransformer(backbone=Backbone(torch.nn.Linear(6, 3))), sys.argv[1])\n"
    )
    subprocess.run([sys.executable, tmp_path / "training.py", tmp_path / "file"], check=True)
    with pytest.raises(ModelFileError, match=r"__main__\.Backbone"):
        skrep.load(tmp_path / "file")
    monkeypatch.syspath_prepend(tmp_path)
    training = importlib.import_module("training")
    assert type(skrep.load(tmp_path / "file", [training.Backbone]).backbone) is training.Backbone


@pytest.mark.parametrize("trusted", [Activated, "mynet.Backbone", 3, [Activated(nn.Tanh)], ["mynet.Backbone"]])
def test_trusted_is_a_list_of_classes_and_functions(trusted, tmp_path):
    skrep.save(PCAEncoder(), tmp_path / "file")
    named = r"(Activated|'mynet\.Backbone').*\bclass\b.*\bfunction\b"
    with pytest.raises(TypeError, match=rf"(?s){named}" if isinstance(trusted, list) else r"trusted=.*\[Backbone\]"):
        skrep.load(tmp_path / "file", trusted)


def test_memory_is_scikit_learns_folder_alone(tmp_path):
    skrep.save(WithMemory().fit(ROWS), tmp_path / "file")
    assert skrep.load(tmp_path / "file", [WithMemory]).memory == 5
    for estimator in (FeatureAgglomeration(memory="folder"), make_pipeline(StandardScaler(), memory="folder")):
        skrep.save(estimator, tmp_path / "file")
        assert skrep.load(tmp_path / "file").memory is None
        assert estimator.memory == "folder"


def test_a_random_state_that_two_steps_share(tmp_path):
    shared = np.random.RandomState(0)
    pipe = make_pipeline(RandomEncoder(2, random_state=shared), RandomEncoder(2, random_state=shared))
    skrep.save(pipe, tmp_path / "file")
    np.testing.assert_array_equal(skrep.load(tmp_path / "file").fit_transform(ROWS), pipe.fit_transform(ROWS))


def test_values_keep_what_they_are(tmp_path):
    parameter, learns = nn.Parameter(torch.ones(3)), torch.ones(2, requires_grad=True)
    turned = torch.arange(48.0).reshape(2, 2, 3, 4).to(memory_format=torch.channels_last)
    values = {
        "masked": np.ma.masked_array([1.0, 2.0], [True, False], fill_value=7),
        "parameter": [parameter, parameter],
        "learns": learns,
        "turned": turned,
        "complex": complex(1, float("inf")),
        "range": range(3, 9, 2),
        "small": np.asfortranarray(np.arange(6).reshape(2, 3)),
    }
    skrep.save(FunctionTransformer(kw_args=values), tmp_path / "file")
    read = skrep.load(tmp_path / "file").kw_args
    assert read["masked"].fill_value == 7
    assert type(read["parameter"][0]) is nn.Parameter
    assert read["parameter"][0] is read["parameter"][1]
    assert read["learns"].requires_grad
    assert read["turned"].stride() == turned.stride()
    assert torch.equal(read["turned"], turned)
    assert read["complex"] == values["complex"]
    assert read["range"] == values["range"]
    assert read["small"].flags.f_contiguous
    assert read["small"].flags.writeable
    np.testing.assert_array_equal(read["small"], values["small"])


def test_columns_of_a_frame(tmp_path):
    frame = pd.DataFrame({"age": [1.0, 2.0, 5.0], "height": [3.0, 1.0, 2.0], "town": ["a", "b", "a"]})
    numbers = frame.select_dtypes("number").columns
    made = ColumnTransformer([("n", StandardScaler(), numbers), ("t", OneHotEncoder(), frame.columns[2:])]).fit(frame)
    skrep.save(made, tmp_path / "file")
    loaded = skrep.load(tmp_path / "file")
    np.testing.assert_array_equal(loaded.transform(frame), made.transform(frame))
    pd.testing.assert_index_equal(loaded.transformers[0][2], numbers)


def test_too_many_trees_are_told_of(tmp_path, monkeypatch):
    forest = RandomForestClassifier(30, max_depth=2, random_state=0).fit(ROWS, ROWS[:, 0] > 0)
    monkeypatch.setattr("skrep.persistence.container.MAX_MEMBERS", 20)
    with pytest.raises(ValueError, match=r"\b18\b.*\b10 trees\b"):
        skrep.save(forest, tmp_path / "file")
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_pipes_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"[/\\]pipe\b.*\bpipe\b"):
        skrep.save(PCAEncoder(), tmp_path / "pipe")
    assert os.listdir(tmp_path) == ["pipe"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX")
def test_a_private_file_is_private_while_it_is_written(tmp_path, monkeypatch):
    skrep.save(PCAEncoder(), tmp_path / "file")
    (tmp_path / "file").chmod(0o600)
    seen = []

    def look(handle):
        mode = os.fstat(handle).st_mode
        seen.extend([stat.S_IMODE(mode)] if stat.S_ISREG(mode) else [])

    monkeypatch.setattr("skrep.persistence.container.os.fsync", look)
    skrep.save(PCAEncoder(2), tmp_path / "file")
    assert seen == [0o600]
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_an_encoder_that_was_fitted_before_its_pipeline(tmp_path):
    encoder = fit(AutoEncoderTransformer(3, hidden=(8,)))
    y = ROWS[:, 0] > 0
    pipe = make_pipeline(FrozenEstimator(encoder), MinMaxScaler(), LogisticRegression()).fit(ROWS, y)
    search = GridSearchCV(pipe, {"logisticregression__C": [0.1, 1]}, cv=2).fit(ROWS, y)
    for made in (pipe, search):
        skrep.save(made, tmp_path / "file")
        loaded = skrep.load(tmp_path / "file")
        np.testing.assert_array_equal(loaded.predict_proba(ROWS), made.predict_proba(ROWS))
