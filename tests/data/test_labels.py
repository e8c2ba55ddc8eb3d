"""Labels, quantities and groups: what is read, what counts as missing, what is refused."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

import skrep.data.labels
from skrep.data import as_targets, labelled_rows, read_indicators, read_quantities, report_set_aside

NAN = float("nan")


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([0, 1, 2], "111"),
        ([0, -1, 1], "101"),  # two other classes remain
        ([-1, 1, 1, -1], "1111"),  # {-1, 1} are two classes
        ([-1, -1], "11"),
        ([-1, 0, 0], "111"),
        ([-1, 0, 1, None], "0110"),
        ([-1, 0, 0, None], "1110"),
        ([-1.0, 0.0, 1.0], "011"),  # whole numbers are integers, which NaN among them makes floats
        ([-1.0, 0.5, 1.0], "111"),
        ([-1.0, 0.0, 1.0, NAN], "0110"),
        (["a", None, "b"], "101"),
        (["a", NAN, "b"], "101"),
        (["nan", "None", "-1"], "111"),  # text is text
        ([True, None, False], "101"),
        (np.array([3, 255, 4], np.uint8), "111"),
        (pd.Series([0, 1, None, -1], dtype="Int64"), "1100"),
        (pd.Series([0, 1, None, -1], dtype="Int64", index=[9, 8, 7, 6]), "1100"),
        (pd.Series(["a", None, "b"], dtype="string"), "101"),
        (pd.Series(["a", None, "b"], dtype="category"), "101"),
        (pd.Series([True, None], dtype="boolean"), "10"),
        (np.array(["2020-01-01", "NaT"], dtype="datetime64[D]"), "10"),
        (torch.tensor([0, 1, -1]), "110"),
        ([[0], [-1], [1]], "101"),  # a column
        ([[0, 1], [1, 1]], "11"),
        ([[0, 1], [NAN, 1], [NAN, NAN]], "100"),
        ([[-1, -1], [0, 1], [1, 1]], "011"),  # in a matrix, NaN or -1 throughout
        ([[-1, 0], [0, 1], [1, 1]], "111"),
        (csr_matrix([[0, 1], [1, 1]]), "11"),
        (pd.DataFrame({"a": [0, None, 1], "b": [1, 1, 1]}, dtype="Int64"), "101"),
        ([], ""),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_rows_with_a_label(y, expected):
    rows = labelled_rows(y)
    assert rows.dtype == bool
    assert "".join(str(int(row)) for row in rows) == expected


def test_another_value_may_stand_for_no_label():
    assert labelled_rows([0, 1, 9], unlabeled_value=9).tolist() == [True, True, False]
    assert labelled_rows([0, 1, -1], unlabeled_value=9).all()
    assert labelled_rows([0, 1, -1], unlabeled_value=None).all()
    assert labelled_rows(np.array([3, 255, 4], np.uint8), unlabeled_value=255).tolist() == [True, False, True]


def test_in_quantities_nan_alone_is_missing():
    assert labelled_rows([-1, 0, 1, 2], regression=True).all()
    assert labelled_rows([-1, NAN, None, 2.5], regression=True).tolist() == [True, False, False, True]
    assert labelled_rows([[1, 2], [NAN, 2]], regression=True).tolist() == [True, False]
    assert labelled_rows([np.inf, 1], regression=True).all()  # an error elsewhere, not a missing value


@given(st.lists(st.sampled_from([-1, 0, 1, 2, None, NAN]), min_size=1))
def test_the_rule_is_that_of_a_naive_loop(y):
    objects = np.array([*y, None], dtype=object)[:-1]
    present = [value for value in y if value is not None and value == value]
    others = len({value for value in present if value != -1})
    expected = [value is not None and value == value and not (value == -1 and others >= 2) for value in y]
    assert labelled_rows(objects).tolist() == expected


def test_the_caller_keeps_its_labels():
    y = np.array([0, 1, -1])
    labelled_rows(y)[:] = False
    assert y.tolist() == [0, 1, -1]


def test_numbers_among_objects_become_numbers():
    assert as_targets(np.array([1, 2], dtype=object)).dtype.kind == "i"
    assert as_targets(np.array(["a", "b"], dtype=object)).dtype.kind == "O"
    assert as_targets([1, None]).tolist() == [1, None]


def test_shapes_that_are_no_labels():
    with pytest.raises(ValueError, match="MultiLabelBinarizer"):
        labelled_rows([["a"], ["a", "b"]])
    with pytest.raises(ValueError, match=r"y has shape \(2, 1, 1\); expected .*n_samples"):
        labelled_rows(np.zeros((2, 1, 1)))
    with pytest.raises(ValueError, match=r"y has shape \(\)"):
        labelled_rows(3)


def test_indicators():
    matrix = [[0, 1, 1], [1, 0, 0]]
    for y in (matrix, np.array(matrix, bool), csr_matrix(matrix), pd.DataFrame(matrix), np.array(matrix, float)):
        read = read_indicators(y, 2, "Name")
        assert read.dtype == torch.float32
        assert read.tolist() == matrix
    with pytest.raises(ValueError, match=r"\(2, 2\), and the value 2 .*Name expected .*indicator .*NaN"):
        read_indicators([[0, 2], [1, 0]], 2, "Name")
    with pytest.raises(ValueError, match="the value 'a' among"):
        read_indicators([["a", "b"]], 1, "Name")
    with pytest.raises(ValueError, match=r"X has 3 samples, y has 2"):
        read_indicators(matrix, 3, "Name")
    with pytest.raises(ValueError, match="0 samples"):
        read_indicators(np.zeros((0, 2)), 0, "Name")


def test_quantities():
    assert read_quantities([1, 2], 2, "Name").tolist() == [[1], [2]]
    assert read_quantities([[1, 2.5]], 1, "Name").tolist() == [[1, 2.5]]
    assert read_quantities(pd.Series([1, 2], dtype="Int64"), 2, "Name").dtype == torch.float32
    with pytest.raises(ValueError, match="Name requires y"):
        read_quantities(None, 2, "Name")
    with pytest.raises(ValueError, match=r"the value '?a.*Name predicts quantities .*classifier"):
        read_quantities(["a", "b"], 2, "Name")
    with pytest.raises(ValueError, match="infinity"):
        read_quantities([1, np.inf], 2, "Name")
    with pytest.raises(ValueError, match=r"1e\+39, too large for float32.*Divide"):
        read_quantities([1, 1e39], 2, "Name")
    with pytest.raises(ValueError, match=r"X has 3 samples, y has 2"):
        read_quantities([1, 2], 3, "Name")
    with pytest.raises(ValueError, match=r"shape \(0,\)"):
        read_quantities([], 0, "Name")


def test_rows_set_aside_are_reported_once(caplog, monkeypatch):
    monkeypatch.setattr(skrep.data.labels, "_reported", False)
    with caplog.at_level(logging.INFO, "skrep"):
        report_set_aside(np.array([True, True]), "Name")
        report_set_aside(np.array([True, False, False]), "Name")
        report_set_aside(np.array([False, True]), "Name")
    (record,) = caplog.records
    assert record.name == "skrep"
    assert "Name: 1 of 3 rows have a label" in record.getMessage()
