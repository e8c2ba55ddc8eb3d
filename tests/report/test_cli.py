import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from skrep.report.cli import main


@pytest.fixture
def mixed(tmp_path):
    """A csv with numbers, gaps, categories, free text, a constant and a class."""
    iris = load_iris(as_frame=True).frame
    iris["class"] = iris.pop("target").map({0: "setosa", 1: "versicolor", 2: "virginica"})
    iris.iloc[::7, 0] = np.nan
    iris["colour"] = np.where(iris["petal length (cm)"] > 3, "red", "blue")
    iris["note"] = [f"plant {i}" for i in range(150)]
    iris["constant"] = 1
    path = tmp_path / "mixed.csv"
    iris.to_csv(path, index=False)
    return path


def test_table_of_a_mixed_csv(mixed, capsys):
    assert main(["compare", str(mixed), "--target", "class", "--encoders", "pca", "--resamples", "2"]) == 0
    out = capsys.readouterr().out
    assert "mixed.csv: 150 rows, 7 columns, 3 classes." in out
    assert "4 numeric columns were imputed" in out
    assert "1 categorical columns were one-hot encoded: colour." in out
    assert "2 columns were left out" in out
    for name in ("raw", "random", "pca"):
        assert f"\n{name} " in out
    assert "\nautoencoder" not in out
    assert "1 a class (3)" in out
    assert "all labels (112)" in out


@pytest.mark.parametrize("kind", ["parquet", "npz"])
def test_other_files(kind, tmp_path, capsys):
    X, y = load_iris(return_X_y=True)
    path = tmp_path / f"iris.{kind}"
    if kind == "parquet":
        pd.DataFrame(X, columns=list("abcd")).assign(y=y).to_parquet(path)
        arguments = [str(path), "--target", "y"]
    else:
        np.savez(path, X=X, y=y)
        arguments = [str(path)]
    assert main(["compare", *arguments, "--encoders", "pca", "--resamples", "1"]) == 0
    assert "150 rows, 4 columns, 3 classes" in capsys.readouterr().out


def test_default_data_in_a_fresh_process():
    command = [sys.executable, "-W", "error", "-m", "skrep", "compare", "--encoders", "pca", "--resamples", "2"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert "scikit-learn's digits" in done.stdout
    assert "1797 rows" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv", "--target", "y"], "nowhere.csv does not exist. Give the path"),
        (["{mixed}"], "say which column of .* holds the classes: --target COL, one of sepal length"),
        (["{mixed}", "--target", "species"], "has no column 'species'. Its columns are sepal length"),
        (["{mixed}", "--target", "petal length (cm)"], "looks like a quantity"),
        (
            ["{mixed}", "--target", "class", "--encoders", "pca,magic"],
            "magic is not known. Choose from pca, autoencoder",
        ),
        (["{mixed}", "--target", "class", "--resamples", "0"], "--resamples 0: at least 1"),
        (["{mixed}", "--target", "class", "--seed", "-1"], "--seed -1: expected"),
        (["--target", "class"], "--target class needs DATA"),
        (["{folder}"], "is a folder; .csv, .parquet and .npz are read"),
        (["{folder}/a.txt"], "is a '.txt' file"),
        (["{folder}/broken.npz"], "cannot be read as .npz"),
        (["{folder}/broken.parquet", "--target", "y"], "cannot be read as .parquet"),
        (["{folder}/empty.csv", "--target", "y"], "cannot be read as .csv"),
        (["{folder}/other.npz"], r"holds \['a'\]; expected the arrays 'X' and 'y'"),
        (["{folder}/objects.npz"], "object arrays, which are pickles"),
        (["{folder}/images.npz"], r"expected a table .* Flatten images with X.reshape"),
        (["{folder}/short.npz"], "expected one class for each row"),
        (["{folder}/nan.npz"], "no column to learn from"),
        (["{folder}/rare.npz"], "has 1 row; at least 2"),
        (["{folder}/nothing.csv", "--target", "y"], "no column to learn from"),
    ],
)
def test_bad_input_is_told_in_one_line(arguments, message, mixed, tmp_path, capsys):
    for name in ("a.txt", "empty.csv"):
        (tmp_path / name).write_text("")
    for name in ("broken.npz", "broken.parquet"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 broken")
    X, y = np.ones((20, 3)), np.arange(20) % 2
    np.savez(tmp_path / "other.npz", a=X)
    np.savez(tmp_path / "objects.npz", X=np.array([{}] * 20), y=y)
    np.savez(tmp_path / "images.npz", X=np.ones((20, 8, 8)), y=y)
    np.savez(tmp_path / "short.npz", X=X, y=y[:5])
    np.savez(tmp_path / "nan.npz", X=X * np.nan, y=y)
    np.savez(tmp_path / "rare.npz", X=X, y=np.r_[np.zeros(19), 1].astype(int))
    pd.DataFrame({"constant": 1, "y": y}).to_csv(tmp_path / "nothing.csv", index=False)
    given = [a.format(mixed=mixed, folder=tmp_path) for a in arguments]
    assert main(["compare", *given]) == 2
    error = capsys.readouterr().err
    line = error.splitlines()[-1]
    assert line.startswith("skrep: error: ")
    assert re.search(message, line), line
    assert "Traceback" not in error


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["compare", "--help"])
    assert stop.value.code == 0
    assert "--target" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
