"""The promises that every estimator keeps; CONTRIBUTING.md says which are tested on which class."""

import copy
import inspect
import pickle
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpydoc.docscrape import NumpyDocString
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import skrep
from skrep import AutoEncoderTransformer, FineTuneClassifier, FineTuneRegressor, PCAEncoder, RandomEncoder
from skrep.contrastive.two_views import TwoViews
from skrep.data import AsImages, ImageFiles
from skrep.exceptions import DivergedError
from tests.engine.test_training import Ctrl
from tests.estimators import (
    DOCUMENTS,
    ESTIMATORS,
    FOLDED,
    FOLDED_NETWORKS,
    IMAGE_ONLY,
    NETWORKS,
    NO_TABLES,
    ONE_PER_READER,
    PER_CLASS,
    TAKES_IMAGES,
    TEXT_ONLY,
    TRAINED,
    fitted,
    public_estimators,
    quick,
    tier,
)

ROOT = Path(__file__).parents[1]

ALL = ESTIMATORS | FOLDED  # image methods also as methods of tables that are folded into images


def classes(found, chosen):
    return pytest.mark.parametrize("cls", tier(found, chosen))


# what a class promises
every_public = pytest.mark.parametrize("cls", (ESTIMATORS | NO_TABLES).values(), ids=ESTIMATORS | NO_TABLES)
every = classes(ALL, PER_CLASS)
every_network = classes(FOLDED_NETWORKS, PER_CLASS)
every_trained = classes(TRAINED, PER_CLASS)
# what a reader or the engine promises
each_reader = classes(ALL, ONE_PER_READER)
each_network = classes(FOLDED_NETWORKS, ONE_PER_READER)
each_trained = classes(TRAINED, {"AutoEncoderTransformer"})
each_of_tables = classes(NETWORKS, ONE_PER_READER)
each_of_images = classes(TAKES_IMAGES, {"SimCLRTransformer"})


def checked(names):
    # scikit-learn fits some of these on a single column, where n_components=2 would be a user's error for PCA
    return parametrize_with_checks([quick(ALL[name], n_components=1) for name in ALL if name in names])


@pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning")  # PCA's precision, of degenerate data
@checked(PER_CLASS)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.exhaustive
@checked(ALL.keys() - PER_CLASS)
def test_scikit_learn_checks_exhaustive(estimator, check):
    check(estimator)


@every_public
def test_clone_and_parameters(cls):
    estimator = quick(cls)
    copied = clone(estimator)
    assert repr(copied.get_params()) == repr(estimator.get_params())
    for name, parameter in inspect.signature(cls).parameters.items():
        assert parameter.default is not inspect.Parameter.empty, f"{name} has no default"
    positional = [p.name for p in inspect.signature(cls).parameters.values() if p.kind is not p.KEYWORD_ONLY]
    assert positional[0] == ("coder" if cls.__name__ in IMAGE_ONLY else "n_components")


@every
def test_pickle(cls, table):
    estimator = fitted(cls, table)
    loaded = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(loaded.transform(table), estimator.transform(table))
    np.testing.assert_array_equal(copy.deepcopy(estimator).transform(table), estimator.transform(table))


@each_network
@pytest.mark.filterwarnings("ignore::skrep.exceptions.CollapseWarning")  # views of so few pixels have nothing in common
def test_pickle_holds_neither_data_nor_optimizer(cls, table):
    estimator = quick(cls).fit(np.repeat(table, 100, axis=0))  # 144,000 bytes
    weights = sum(t.numel() * t.element_size() for t in estimator.net_.module_.state_dict().values())
    assert len(pickle.dumps(estimator)) < weights + 50_000  # two networks: many layers have names


@every
def test_save_and_load(cls, table, tmp_path):
    estimator, trusted = quick(cls), [cls] if cls in FOLDED.values() else []
    skrep.save(estimator, tmp_path / "unfitted")
    assert repr(skrep.load(tmp_path / "unfitted", trusted)) == repr(estimator)
    frame = pd.DataFrame(table, columns=list("abcdef"))
    estimator.set_output(transform="pandas").fit(frame)
    skrep.save(estimator, tmp_path / "file")
    loaded = skrep.load(tmp_path / "file", trusted)
    assert type(loaded) is cls
    assert repr(loaded.get_params()) == repr(estimator.get_params())
    pd.testing.assert_frame_equal(loaded.transform(frame), estimator.transform(frame), check_exact=True)
    assert clone(loaded).fit_transform(frame).equals(clone(estimator).fit_transform(frame))
    left = {"net_", "_skl_callbacks"}
    assert vars(loaded).keys() - left == vars(estimator).keys() - left
    skrep.save(loaded, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "file").read_bytes()


@every_trained
def test_training_goes_on_after_loading(cls, table, tmp_path):
    estimator = quick(cls, warm_start=True).fit(table)
    skrep.save(estimator, tmp_path / "file")
    for go_on in (cls.partial_fit, cls.fit):
        pickled, loaded = pickle.loads(pickle.dumps(estimator)), skrep.load(tmp_path / "file")
        assert loaded.history_ == pickled.history_
        np.testing.assert_array_equal(go_on(loaded, table).transform(table), go_on(pickled, table).transform(table))
        assert len(loaded.history_) == len(pickled.history_) > len(estimator.history_)


@every_trained
def test_interrupted_and_resumed_is_the_same_to_the_bit(cls, table, tmp_path):
    whole = fitted(cls, table)
    with pytest.raises(KeyboardInterrupt):
        quick(cls, checkpoint=tmp_path, callbacks=[Ctrl((0, 1), "raise")]).fit(table)
    resumed = quick(cls, checkpoint=tmp_path).fit(table)
    assert resumed.resumed_from_ == (0, 1)
    assert resumed.history_ == whole.history_
    np.testing.assert_array_equal(resumed.transform(table), whole.transform(table))


def test_saved_files_give_the_same_bits_in_a_fresh_process(table, images, tmp_path):
    y = np.arange(len(table)) % 2
    cases = {name: (fitted(cls, table), table) for name, cls in ALL.items()}
    for name, cls in (TAKES_IMAGES | IMAGE_ONLY).items():
        cases[f"{name} of images"] = fitted(cls, images, hidden=None), images
    for name in ONE_PER_READER:
        pipeline = make_pipeline(quick(ALL[name]), LogisticRegression()).fit(table, y)
        cases[f"{name} in a Pipeline"] = pipeline, table
    for name, (estimator, X) in cases.items():
        skrep.save(estimator, tmp_path / f"{name}.skrep")
        method = "transform" if hasattr(estimator, "transform") else "predict_proba"
        np.savez(tmp_path / f"{name}.npz", X=X, expected=getattr(estimator, method)(X))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.loaded", tmp_path], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(f"{name}: same" for name in cases)


@every
def test_set_output_pandas(cls, table):
    frame = pd.DataFrame(table, columns=list("abcdef"))
    estimator = quick(cls).set_output(transform="pandas")
    features = estimator.fit_transform(frame)
    assert list(features.columns) == list(estimator.get_feature_names_out())
    assert list(features.columns) == [f"{cls.__name__.lower()}{i}" for i in range(2)]
    assert list(estimator.feature_names_in_) == list("abcdef")


@every
@pytest.mark.filterwarnings("ignore:FastICA did not converge")  # on the 75 rows of one fold it never would
def test_pipeline_grid_search_and_cross_validation(cls, digits):
    X, y = digits[0][:150], digits[1][:150]
    pipe = Pipeline([("enc", quick(cls, n_components=8)), ("probe", LogisticRegression(max_iter=3000))])
    scores = cross_val_score(pipe, X / 16, y, cv=2)
    assert np.isfinite(scores).all()
    width = "enc__n_components" if hasattr(pipe["enc"], "n_components") else "enc__coder__n_components"
    search = GridSearchCV(pipe, {width: [4, 8]}, cv=2, refit=False).fit(X / 16, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_grid_search_over_encoders_in_two_processes(digits):
    X, y = digits[0][:200] / 16, digits[1][:200]
    pipe = Pipeline([("enc", PCAEncoder(16)), ("probe", LogisticRegression(max_iter=3000))])
    auto = AutoEncoderTransformer(16, hidden=(32,), max_epochs=2, random_state=0)
    grid = {"enc": [PCAEncoder(16), auto, RandomEncoder(16, random_state=0)], "probe__C": [0.1, 1]}
    one, two = (GridSearchCV(pipe, grid, cv=2, n_jobs=n).fit(X, y) for n in (1, 2))
    np.testing.assert_array_equal(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])


@every
def test_same_seed_same_bits(cls, table):
    first = fitted(cls, table).transform(table)
    np.testing.assert_array_equal(quick(cls).fit(table).transform(table), first)
    if cls in FOLDED_NETWORKS.values():
        assert not np.array_equal(quick(cls, random_state=1).fit(table).transform(table), first)


@each_network
def test_same_seed_same_bits_in_any_thread(cls, table):
    reference = fitted(cls, table).transform(table)

    def fit(_):
        return quick(cls).fit(table).transform(table)

    with ThreadPoolExecutor(8) as pool:
        for features in pool.map(fit, range(8)):
            np.testing.assert_array_equal(features, reference)


@every
def test_global_generators_stay_as_they_were(cls, table):
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    for random_state in (0, None):
        quick(cls, random_state=random_state).fit(table).transform(table)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


@each_network
def test_random_state_instance_gives_a_new_fit_each_time(cls, table):
    state = np.random.RandomState(0)
    first, second = (quick(cls, random_state=state).fit(table).transform(table) for _ in range(2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(quick(cls, random_state=np.random.RandomState(0)).fit(table).transform(table), first)


@each_network
@given(data=st.data())
def test_features_of_a_row_do_not_depend_on_its_neighbours(cls, data):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(700, 12)).astype(np.float32)
    estimator = fitted(cls, X, n_components=5, hidden=(33, 17))
    whole = estimator.transform(X)
    rows = data.draw(st.lists(st.integers(0, 699), min_size=1, max_size=400))
    np.testing.assert_array_equal(estimator.transform(X[rows]), whole[rows])


@every_network
def test_output_is_float32_of_the_named_width(cls, table):
    estimator = fitted(cls, table.astype(np.float64))
    features = estimator.transform(table.astype(np.float64))
    assert features.dtype == np.float32
    assert features.shape == (60, estimator.n_features_out_) == (60, 2)


@each_of_tables
@pytest.mark.parametrize(
    "kind", ["list", "float64", "int", "uint8", "fortran", "read-only", "memmap", "tensor", "frame", "big-endian"]
)
def test_kinds_of_table(cls, kind, tmp_path):
    rows = np.random.default_rng(0).integers(0, 255, size=(40, 5))
    np.save(tmp_path / "rows.npy", rows.astype(np.uint8))
    frozen = rows.astype(np.float32)
    frozen.flags.writeable = False
    made = {
        "list": rows.tolist(),
        "float64": rows.astype(np.float64),
        "int": rows,
        "uint8": rows.astype(np.uint8),
        "fortran": np.asfortranarray(rows.astype(np.float32)),
        "read-only": frozen,
        "memmap": np.load(tmp_path / "rows.npy", mmap_mode="r"),
        "tensor": torch.from_numpy(rows).float(),
        "frame": pd.DataFrame(rows),
        "big-endian": rows.astype(">f8"),
    }[kind]
    expected = fitted(cls, rows.astype(np.float32)).transform(rows.astype(np.float32))
    np.testing.assert_array_equal(quick(cls).fit_transform(made), expected)


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        yield from ()


class Rows(torch.utils.data.Dataset):
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


@each_network
def test_torch_dataset(cls, table):
    expected = fitted(cls, table).transform(table)
    np.testing.assert_array_equal(quick(cls).fit_transform(Rows(table)), expected)
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(table), torch.zeros(60))
    np.testing.assert_array_equal(quick(cls).fit_transform(pairs), expected)


# --- bad input -------------------------------------------------------------------------------------------------------

GOOD = np.random.default_rng(0).normal(size=(20, 4))


def spoiled(value):
    X = GOOD.copy()
    X[3, 2] = value
    return X


BAD_TABLES = {
    "NaN": (spoiled(np.nan), "NaN"),
    "infinity": (spoiled(np.inf), "infinity"),
    "text": (np.full((20, 4), "a", dtype=object), "numbers|convert"),
    "dicts": (np.full((20, 4), {}, dtype=object), "real number|numbers|argument"),
    "empty": (np.empty((0, 4)), "0 sample"),
    "no columns": (np.empty((20, 0)), "0 feature"),
    "one row": (GOOD[:1], "1 sample"),
    "flat": (GOOD[0], "[Rr]eshape your data"),
    "three axes": (np.zeros((5, 4, 4)), "dim 3"),
    "four axes": (np.zeros((5, 4, 4, 0)), "dim 4|pixel"),
    "complex": (GOOD * 1j, "[Cc]omplex"),
    "too large": (spoiled(1e300), "[Rr]escale"),
}


def skip_what_is_a_word(cls, case):
    if cls in DOCUMENTS.values() and case == "too large":
        pytest.skip("any finite number has a word for it")


@each_reader
@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_table(cls, case):
    skip_what_is_a_word(cls, case)
    X, message = BAD_TABLES[case]
    estimator = quick(cls, n_components=1)
    with pytest.raises((ValueError, TypeError), match=message):
        estimator.fit(X)
    assert not [name for name in vars(estimator) if name.endswith("_")], "a failed fit left something behind"


@each_reader
@pytest.mark.parametrize("case", [case for case in BAD_TABLES if case != "one row"])
def test_bad_table_at_transform_leaves_the_estimator_as_it_was(cls, case):
    skip_what_is_a_word(cls, case)
    X, _ = BAD_TABLES[case]
    estimator = fitted(cls, GOOD)
    before = pickle.dumps(estimator)
    expected = estimator.transform(GOOD)
    # closed forms compute in float64, where 1e300 can be projected
    in_float64 = cls.__name__ not in NETWORKS | FOLDED and case == "too large"
    calls = [estimator.fit] if in_float64 else [estimator.transform, estimator.fit]
    for call in calls:
        with pytest.raises((ValueError, TypeError)):
            call(X)
        np.testing.assert_array_equal(estimator.transform(GOOD), expected)
        assert pickle.dumps(estimator) == before


@every
def test_wrong_number_of_columns(cls):
    estimator = fitted(cls, GOOD)
    with pytest.raises(ValueError, match=r"X has 3 features, but .* is expecting 4 features"):
        estimator.transform(GOOD[:, :3])


@each_reader
def test_not_fitted(cls):
    with pytest.raises(NotFittedError):
        quick(cls).transform(GOOD)


@each_network
def test_bad_dataset(cls, table):
    with pytest.raises(ValueError, match=r"item 7 .*NaN"):
        quick(cls).fit(Rows(np.where(np.arange(60)[:, None] == 7, np.nan, table)))
    with pytest.raises(ValueError, match=r"item 1\b.*shape"):
        quick(cls).fit(Rows([table[0], table[1][:2], *table[2:]]))
    with pytest.raises(ValueError, match="1-D"):
        quick(cls).fit(Rows(table.reshape(60, 2, 3)))
    with pytest.raises(ValueError, match="0 sample"):
        quick(cls).fit(Rows([]))
    with pytest.raises(TypeError, match="map-style"):
        quick(cls).fit(Stream())
    with pytest.raises(ValueError, match=r"\b5 features.*\b6\b"):
        fitted(cls, table).transform(Rows(table[:, :5]))


@every_public
def test_unknown_parameter_values(cls):
    for name in inspect.signature(cls).parameters:
        if name in ("net_params", "copy"):
            continue
        estimator = quick(cls)
        setattr(estimator, name, object())
        with pytest.raises((ValueError, TypeError), match=rf"\b{name}\b"):
            estimator.fit(GOOD)


@each_trained
@pytest.mark.parametrize(
    "bad",
    [{"lr": 0}, {"lr": float("nan")}, {"lr": "fast"}, {"max_epochs": -1}, {"max_epochs": 2.5}, {"batch_size": -1},
     {"optimizer": "adamax"}, {"lr_schedule": "step"}, {"precision": "float64"}, {"device": "abacus"},
     {"validation_fraction": 1.0}, {"early_stopping": True}, {"random_state": "zero"}, {"weight_decay": -1},
     {"net_params": {"lr": 1}}, {"net_params": {"optimizer__weight_decay": 1}}, {"net_params": {"module__width": 1}},
     {"net_params": {"nonsense": 1}}],
    ids=str,
)  # fmt: skip
def test_bad_training_parameters(cls, bad, table):
    (name,) = bad
    expected = re.escape(next(iter(bad[name]))).split("__")[-1] if name == "net_params" else name
    with pytest.raises((ValueError, TypeError), match=expected):
        quick(cls, **bad).fit(table)


numbers = st.one_of(
    st.floats(width=64, allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1e-320, 1e-38, 1e19, 3.3e38, 1e39, 1e154, 1e308, np.nan, np.inf]),
)


def hostile_tables():
    shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=12)
    odd = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    floats = st.sampled_from([np.float64, np.float32, np.float16]).flatmap(
        lambda dtype: hnp.arrays(
            dtype, shapes, elements=st.floats(width=np.dtype(dtype).itemsize * 8), fill=st.nothing()
        )
    )
    finite = hnp.arrays(
        np.float64, shapes, elements=st.floats(allow_nan=False, allow_infinity=False, width=64), fill=st.nothing()
    )
    scaled = st.tuples(
        hnp.arrays(np.float64, shapes, elements=st.floats(-1, 1)),
        st.sampled_from([1e-300, 1e-30, 1.0, 1e18, 1e37, 1e200]),
    ).map(lambda pair: pair[0] * pair[1])
    integers = hnp.arrays(st.sampled_from([np.uint8, np.int64, np.bool_]), shapes)
    objects = hnp.arrays(object, shapes, elements=st.one_of(st.none(), st.text(max_size=2), st.integers(), st.floats()))
    other = hnp.arrays(st.sampled_from([np.float64, np.complex64, np.dtype("U2"), np.dtype("M8[s]")]), odd)
    constant = st.tuples(shapes, numbers).map(lambda pair: np.full(*pair))
    return st.one_of(floats, finite, scaled, integers, objects, other, constant)


# rows that are all alike do collapse, some tables are of many units, some of a single row
def may_be_reported(test):
    collapse, units, refit = (
        "ignore::skrep.exceptions.CollapseWarning",
        ":.*takes columns in the",
        ":.*trains it anew on",
    )
    for message in (collapse, f"ignore{units}:UserWarning", f"ignore{refit}:UserWarning"):
        test = pytest.mark.filterwarnings(message)(test)
    return test


def hostile(cls, good, X, **options):
    """Finite output or one clear error; a fitted estimator unchanged after a failed call."""
    before = fitted(cls, good, n_components=1, **options)
    expected = before.transform(good)
    for estimator in (quick(cls, n_components=1, **options), before):
        try:
            features = estimator.fit(X).transform(X)
        except (ValueError, TypeError, DivergedError) as error:
            assert len(str(error)) > 15  # noqa: PT017
            if estimator is before:
                np.testing.assert_array_equal(before.transform(good), expected)
            else:
                assert not [name for name in vars(estimator) if name.endswith("_")]
        else:
            assert features.shape == (len(X), 1)
            assert np.isfinite(features).all()


@may_be_reported
@each_reader
@given(X=hostile_tables())
@settings(suppress_health_check=list(HealthCheck))
def test_hostile_input(cls, X):
    hostile(cls, GOOD, X)


@may_be_reported
@pytest.mark.exhaustive
@every
@given(X=hostile_tables())
@settings(suppress_health_check=list(HealthCheck), max_examples=400)
def test_hostile_input_exhaustive(cls, X):
    hostile(cls, GOOD, X)


# --- images ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def images():
    """60 colour images of 9x10 pixels, uint8."""
    rng = np.random.default_rng(0)
    return (rng.random((60, 3, 4, 3)).repeat(3, axis=1).repeat(3, axis=2)[:, :, :10] * 255).astype(np.uint8)


def small(cls, **options):
    return quick(cls, hidden=None, **options)


@each_of_images
def test_images_in_and_features_out(cls, images):
    encoder = fitted(cls, images, hidden=None)
    assert encoder.transform(images).shape == (60, 2)
    assert encoder.image_shape_ == (9, 10, 3)
    assert not hasattr(encoder, "n_features_in_")
    assert list(encoder.get_feature_names_out()) == [f"{cls.__name__.lower()}{i}" for i in range(2)]
    frame = small(cls).set_output(transform="pandas").fit_transform(images)
    np.testing.assert_array_equal(frame.to_numpy(), encoder.transform(images))


@each_of_images
@pytest.mark.parametrize(
    "kind", ["list", "memmap", "tensor", "dataset", "read-only", "float", "float64", "rows", "files"]
)
def test_kinds_of_images(cls, kind, images, tmp_path):
    np.save(tmp_path / "images.npy", images)
    frozen = images.copy()
    frozen.flags.writeable = False
    expected = fitted(cls, images, hidden=None).transform(images)
    if kind == "rows":
        made = make_pipeline(AsImages((9, 10, 3)), small(cls)).set_output(transform="pandas")
        np.testing.assert_array_equal(made.fit_transform(images.reshape(60, -1)).to_numpy(), expected)
        return
    if kind == "files":
        Image = pytest.importorskip("PIL.Image")
        for i, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / f"{i:02d}.png")
    made = {
        "list": lambda: list(images),
        "memmap": lambda: np.load(tmp_path / "images.npy", mmap_mode="r"),
        "tensor": lambda: torch.from_numpy(images),
        "dataset": lambda: Rows(images),
        "read-only": lambda: frozen,
        "float": lambda: images.astype(np.float32) / 255,
        "float64": lambda: images.astype(np.float64) / 255,
        "files": lambda: ImageFiles(tmp_path),
    }[kind]()
    features = small(cls).fit(made).transform(made)
    if kind in ("float", "float64"):  # the division rounds
        np.testing.assert_allclose(features, expected, atol=0.03)
    else:
        np.testing.assert_array_equal(features, expected)


SOME = np.random.default_rng(0).random((12, 8, 8, 1)).astype(np.float32)
CHANNELS_FIRST = r"channels.*transpose\(0, 2, 3, 1\)"
BAD_IMAGES = {
    "channels first": (np.zeros((12, 3, 32, 32)), CHANNELS_FIRST),
    "channels-first tensor": (torch.zeros(12, 3, 32, 32), CHANNELS_FIRST),
    "channels-first list": ([np.zeros((3, 32, 32))] * 12, CHANNELS_FIRST),
    "channels-first dataset": (Rows(np.zeros((12, 3, 32, 32))), CHANNELS_FIRST),
    "dataset of other things": (Rows([{"pixels": 1}] * 12), r"\bdict\b.*array"),
    "masked": (np.ma.masked_less(SOME, 0.1), "masked"),
    "too small": (np.zeros((12, 3, 3, 1)), r"\b4x4\b.*\b3x3\b"),
    "no pixel": (np.zeros((12, 0, 8, 1)), "pixel"),
    "one image": (SOME[:1], "1 sample"),
    "no image": (SOME[:0], "0 sample"),
    "mixed sizes": ([np.zeros((8, 8, 1)), np.zeros((8, 9, 1))], r"image 1\b.*\(8, 9, 1\)"),
    "NaN": (np.where(np.arange(12)[:, None, None, None] == 7, np.nan, SOME), r"NaN.*image 7\b"),
    "too large": (SOME.astype(np.float64) * 1e39, "too large"),
    "text": (np.full((12, 8, 8, 1), "a"), "dtype"),
    "no channel axis": (SOME[..., 0], r"channel axis"),
}


@each_of_images
@pytest.mark.parametrize("case", BAD_IMAGES)
def test_bad_images(cls, case):
    X, message = BAD_IMAGES[case]
    estimator = small(cls)
    with pytest.raises((ValueError, TypeError), match=message):
        estimator.fit(X)
    assert not [name for name in vars(estimator) if name.endswith("_")], "a failed fit left something behind"
    estimator = fitted(cls, SOME, hidden=None)
    expected = estimator.transform(SOME)
    with pytest.raises((ValueError, TypeError)):
        estimator.fit(X)
    if case != "one image":
        with pytest.raises((ValueError, TypeError)):
            estimator.transform(X)
    np.testing.assert_array_equal(estimator.transform(SOME), expected)


@each_of_images
def test_images_and_tables_are_not_mixed_up(cls, images):
    rows = images.reshape(60, -1)
    with pytest.raises(ValueError, match=r"\(9, 10, 3\).*AsImages"):
        fitted(cls, images, hidden=None).transform(rows)
    with pytest.raises(ValueError, match=r"table.*\b270\b.*images"):
        fitted(cls, rows, hidden=None).transform(images)
    with pytest.raises(ValueError, match=r"\(9, 9, 3\).*\(9, 10, 3\)"):
        fitted(cls, images, hidden=None).transform(images[:, :, :9])
    again = small(cls).fit(images).fit(rows)
    assert (again.n_features_in_, hasattr(again, "image_shape_")) == (270, False)


@each_of_images
def test_images_in_other_units(cls, images):
    floats = (images / 255).astype(np.float32)
    with pytest.raises(ValueError, match=r"\b0 to 1\b.*uint8.*X / 255"):
        fitted(cls, floats, hidden=None).transform(images)
    with pytest.raises(ValueError, match=r"\b0 to 255\b.*floats.*\b1\b"):
        fitted(cls, images, hidden=None).transform(floats)
    with pytest.raises(ValueError, match=r"\b0 to 255\b.*floats.*\b1\b"):
        fitted(cls, images, hidden=None).transform(Rows(floats))
    for one, other in [(images, images.astype(np.float32)), (images.astype(np.float32), images)]:
        one[0, 0, 0], other[0, 0, 0] = [[0, 255, 0]] * 2
        estimator = small(cls).fit(one)
        np.testing.assert_array_equal(estimator.transform(other), estimator.transform(one))


@each_of_images
def test_images_in_other_orders_of_memory(cls, images):
    expected = small(cls).fit_transform(np.ascontiguousarray(images[..., ::-1]))
    np.testing.assert_array_equal(small(cls).fit_transform(images[..., ::-1]), expected)
    np.testing.assert_array_equal(small(cls).fit_transform(Rows(images[..., ::-1])), expected)
    rows = images.reshape(60, -1)
    np.testing.assert_array_equal(
        small(cls).fit_transform(rows[:, ::-1]), small(cls).fit_transform(np.ascontiguousarray(rows[:, ::-1]))
    )


@each_of_images
@pytest.mark.parametrize("shape", [(60, 20), (60, 8, 8, 1)], ids=["table", "images"])
@pytest.mark.parametrize("dtype", [np.float64, np.uint16])
def test_memory_maps_give_the_bits_of_arrays(cls, shape, dtype, tmp_path):
    X = (np.random.default_rng(0).random(shape) * 1000).astype(dtype)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    np.testing.assert_array_equal(small(cls).fit(mapped).transform(mapped), small(cls).fit(X).transform(X))
    if cls in TRAINED.values():
        small(cls, checkpoint=tmp_path).fit(X)
        assert small(cls, checkpoint=tmp_path).fit(mapped).resumed_from_ is not None


def test_lists_of_pillow_images(images):
    Image = pytest.importorskip("PIL.Image")
    expected = small(RandomEncoder).fit_transform(images)
    np.testing.assert_array_equal(small(RandomEncoder).fit_transform([*map(Image.fromarray, images)]), expected)


def hostile_images():
    shapes = hnp.array_shapes(min_dims=4, max_dims=4, min_side=0, max_side=9)
    floats = hnp.arrays(np.float32, shapes, elements=st.floats(width=32), fill=st.nothing())
    scaled = st.tuples(
        hnp.arrays(np.float64, shapes, elements=st.floats(-1, 1)),
        st.sampled_from([1e-300, 1e-30, 1.0, 1e18, 1e37, 1e38, 1e200]),
    ).map(lambda pair: pair[0] * pair[1])
    whole = hnp.arrays(st.sampled_from([np.uint8, np.int64, np.bool_]), shapes)
    other = hnp.arrays(st.sampled_from([np.complex64, np.dtype("U2"), np.dtype("M8[s]"), np.dtype(object)]), shapes)
    return st.one_of(floats, scaled, whole, other)


@may_be_reported
@each_of_images
@given(X=hostile_images())
@settings(suppress_health_check=list(HealthCheck))
def test_hostile_images(cls, X):
    hostile(cls, SOME, X, hidden=None)


@pytest.mark.exhaustive
@may_be_reported
@each_of_images
@given(X=hostile_images())
@settings(suppress_health_check=list(HealthCheck), max_examples=400)
def test_hostile_images_exhaustive(cls, X):
    hostile(cls, SOME, X, hidden=None)


# what is not read is refused

KINDS = {
    "table": np.random.default_rng(0).normal(size=(40, 6)),
    "images": np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8),
    "texts": ["a red fox", "a blue bird"] * 20,
    "sequences": [np.sin(np.arange(n)) for n in range(20, 60)],
}
PATHS = {"Path": Path("data/file.csv"), "str": "data/file.csv"}
FINE_TUNING = {"FineTuneClassifier": FineTuneClassifier, "FineTuneRegressor": FineTuneRegressor}
READERS = public_estimators() | FINE_TUNING


def unfitted(cls):
    return cls(AutoEncoderTransformer(2, hidden=(4,), max_epochs=1)) if cls in FINE_TUNING.values() else quick(cls)


@pytest.mark.parametrize("kind", [*KINDS, *PATHS])
@pytest.mark.parametrize("cls", READERS.values(), ids=READERS)
def test_other_kinds_of_input_are_one_clear_error(cls, kind):
    """Of every kind that ``reads`` does not name: what was got, what is taken, and what to do."""
    estimator = unfitted(cls)
    if kind in estimator.reads:
        return
    X = (KINDS | PATHS)[kind]
    y = {"y": np.arange(40) % 2} if cls in FINE_TUNING.values() else {}
    got = {"table": r"\(40, 6\)", "images": r"\(40, 8, 8, 1\)", "texts": "texts.*a red fox"}.get(kind, "")
    got = {"sequences": r"40 arrays|list", "Path": "Path.*file.csv", "str": "str"}.get(kind, got)
    with pytest.raises(ValueError, match=got) as caught:
        estimator.fit(X, **y)
    takes = {"table": "n_features|dim <= 2", "images": "images", "texts": "documents|words"}
    assert re.search("|".join(takes[kind] for kind in estimator.reads), str(caught.value))
    assert not hasattr(estimator, "net_")


@pytest.mark.parametrize("cls", [c for c in READERS.values() if not issubclass(c, TwoViews)], ids=lambda c: c.__name__)
def test_groups_where_they_are_not_used(cls):
    estimator = unfitted(cls)
    y = np.arange(40) % 2 if cls in FINE_TUNING.values() else None
    X = next(KINDS[kind] for kind in estimator.reads)
    for fit in (getattr(estimator, name) for name in ("fit", "fit_transform", "partial_fit") if hasattr(cls, name)):
        with pytest.raises(ValueError, match=rf"{cls.__name__}.*groups.*\b40\b"):
            fit(X, y, groups=np.arange(40))


@pytest.mark.parametrize("cls", public_estimators().values(), ids=public_estimators())
def test_y_where_it_is_not_used(cls):
    """As scikit-learn's transformers do, whatever it is."""
    X = next(KINDS[kind] for kind in unfitted(cls).reads)
    expected = quick(cls).fit(X).transform(X)
    np.testing.assert_array_equal(quick(cls).fit(X, ["anything"]).transform(X), expected)


# --- help ------------------------------------------------------------------------------------------------------------


@every_public
def test_help_is_complete(cls):
    doc = NumpyDocString(inspect.getdoc(cls))
    documented = [entry.name for entry in doc["Parameters"]]
    assert documented == list(inspect.signature(cls).parameters)
    for entry in doc["Parameters"]:
        default = inspect.signature(cls).parameters[entry.name].default
        stated = repr(default).replace("'", '"')
        assert f"default={stated}" in entry.type, f"{entry.name}: the help does not state its default, {stated}"
        assert entry.desc
    some_images = np.random.default_rng(0).random((4, 8, 8, 1))
    estimator = quick(cls).fit(
        some_images if cls.__name__ in IMAGE_ONLY else ["one two", "two one"] if cls.__name__ in TEXT_ONLY else GOOD
    )
    attributes = {name for name in vars(estimator) if name.endswith("_") and not name.startswith("_")}
    attributes |= {
        name for name in dir(cls) if re.fullmatch("[a-z].*_", name) and isinstance(getattr(cls, name), property)
    }
    described = {entry.name for entry in doc["Attributes"]}
    assert attributes - described <= {"feature_names_in_", "n_samples_", "like_"}
    if cls in TAKES_IMAGES.values():
        fitted_on_images = quick(cls, hidden=None).fit(some_images)
        attributes |= {name for name in vars(fitted_on_images) if name.endswith("_") and not name.startswith("_")}
    assert described <= attributes | {"noise_variance_"}
    assert doc["Examples"]
    assert doc["Summary"]


@every_public
def test_public_methods_are_documented(cls):
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        if not name.startswith("_"):
            assert inspect.getdoc(method), f"{cls.__name__}.{name} has no docstring"


@every
def test_repr_html(cls, table):
    estimator = make_pipeline(fitted(cls, table))
    assert cls.__name__ in estimator._repr_html_()
