import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_iris

from skrep.report import cli
from skrep.report.cli import main
from skrep.report.progress import Progress


class Fails(TransformerMixin, BaseEstimator):
    def __init__(self, error=None):
        self.error = error

    def fit(self, X, y=None):
        raise self.error

    def transform(self, X):
        raise AssertionError("not fitted")


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


@pytest.fixture
def folder(tmp_path):
    """12 grey images of 6x6 pixels in each of two class folders."""
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for name, shade in (("dark & dim", 60), ("light", 160)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(shade, shade + 90, size=(6, 6), dtype=np.uint8)
            image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{i:02}.png")
    return tmp_path / "pictures"


@pytest.fixture
def encoders(monkeypatch):
    """The encoders of the table, to be replaced."""

    def replace(**made):
        monkeypatch.setattr(cli, "make_encoders", lambda names, rows, seed: made)

    return replace


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


@pytest.mark.exhaustive
def test_default_data_in_a_fresh_process():
    command = [sys.executable, "-W", "error", "-m", "skrep", "compare", "--encoders", "pca", "--resamples", "2"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert "scikit-learn's digits" in done.stdout
    assert "1797 images of 8x8 pixels, grey, 10 classes." in done.stdout
    assert done.stderr.splitlines()[:1] == ["  raw: ..."]


# --- images ------------------------------------------------------------------------------------------------------


def test_folder_of_images(folder, capsys):
    assert main(["compare", str(folder), "--encoders", "pca", "--resamples", "2"]) == 0
    out = capsys.readouterr().out
    assert "pictures: 24 images of 6x6 pixels, grey, 2 classes.\n18 rows" in out
    assert re.search(r"\nraw +36 .* 1\.000", out)
    for name in ("random", "pca"):
        assert f"\n{name} " in out
    assert main(["compare", str(folder), "--encoders", "raw", "--size", "4", "--resamples", "2"]) == 0
    out = capsys.readouterr().out
    assert "24 images of 4x4 pixels" in out
    assert "Images were resized to 4x4 pixels." in out


def test_large_folder_is_not_decoded_at_once(folder, monkeypatch, capsys):
    monkeypatch.setattr("skrep.report.tables.MAX_DECODED_BYTES", 100)
    assert main(["compare", str(folder), "--encoders", "pca", "--resamples", "2"]) == 0
    out = capsys.readouterr().out
    assert "are decoded in each epoch" in out
    assert re.search(r"\nraw +36 .* 1\.000", out)


@pytest.mark.parametrize(("shape", "kind"), [((6, 6), "grey"), ((6, 6, 1), "grey"), ((6, 5, 3), "colour")])
def test_arrays_of_images(shape, kind, tmp_path, capsys):
    X = np.random.default_rng(0).integers(0, 256, size=(40, *shape), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", X=X, y=np.arange(40) % 2)
    assert main(["compare", str(tmp_path / "a.npz"), "--encoders", "pca", "--resamples", "2"]) == 0
    out = capsys.readouterr().out
    assert f"a.npz: 40 images of {shape[0]}x{shape[1]} pixels, {kind}, 2 classes." in out
    assert ("X has three axes and was read as grey images" in out) == (len(shape) == 2)


def test_all_encoders_learn_from_images_and_from_tables(folder, mixed, capsys):
    for data in ([str(folder)], [str(mixed), "--target", "class"]):
        assert main(["compare", *data, "--budget", "0.001", "--resamples", "2"]) == 0
        out, err = capsys.readouterr()
        for name in ("raw", "random", "pca", "autoencoder", "simclr"):
            assert f"\n{name} " in out
            assert re.search(rf"  {name}: \d+\.\d s", err)
        assert "failed" not in out
        assert re.search(r"simclr .*\b1 of \d+ epochs.*\b0\.001 s", out)


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv", "--target", "y"], r"nowhere\.csv .*\.parquet.*\.npz"),
        (["{mixed}"], "--target COL.*sepal length"),
        (["{mixed}", "--target", "species"], "'species'.*sepal length"),
        (["{mixed}", "--target", "petal length (cm)"], r"target\b.*\b43\b.*\b100\b"),
        (
            ["{mixed}", "--target", "class", "--encoders", "pca,magic"],
            "--encoders.*magic.*pca, autoencoder, simclr",
        ),
        (["{mixed}", "--target", "class", "--resamples", "0"], r"--resamples 0\b.*\b1\b"),
        (["{mixed}", "--target", "class", "--seed", "-1"], r"--seed -1\b.*\b4294967295\b"),
        (["--target", "class"], r"--target class\b.*\bDATA\b"),
        (["{mixed}", "--target", "class", "--budget", "0"], r"--budget 0\b"),
        (["{mixed}", "--target", "class", "--size", "8"], r"--size 8\b.*\bfolder\b"),
        (["--size", "8"], r"--size 8\b.*\bfolder\b"),
        (["{folder}"], r"\bimage\b.*\.bmp"),
        (["{folder}/a.txt"], r"a\.txt .*'\.txt'.*\.npz"),
        (["{folder}/broken.npz"], r"broken\.npz .*\.npz"),
        (["{folder}/broken.parquet", "--target", "y"], r"broken\.parquet .*\.parquet"),
        (["{folder}/empty.csv", "--target", "y"], r"empty\.csv .*\.csv"),
        (["{folder}/other.npz"], r"other\.npz .*\['a'\].*'X'.*'y'"),
        (["{folder}/objects.npz"], r"objects\.npz .*\bobject\b.*pickles"),
        (["{folder}/movies.npz"], r"movies\.npz\b.*\(20, 2, 8, 8, 3\).*\(n_samples, n_features\)"),
        (["{folder}/channels.npz"], r"channels\.npz\b.*\(20, 3, 8, 8\).* X\.transpose\(0, 2, 3, 1\)"),
        (["{folder}/gap.npz"], r"gap\.npz\b.*image 7\b.*NaN"),
        (["{folder}/words.npz"], r"words\.npz\b.*<U1.*uint8"),
        (["{folder}/short.npz"], r"short\.npz\b.*\(5,\).*\(20, 3\)"),
        (["{folder}/nan.npz"], r"nan\.npz .*\bcolumn\b.*constants"),
        (["{folder}/rare.npz"], r"\bclass\b.*\b1 row.*\b2\b"),
        (["{folder}/nothing.csv", "--target", "y"], r"nothing\.csv .*\bcolumn\b.*constants"),
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
    np.savez(tmp_path / "movies.npz", X=np.ones((20, 2, 8, 8, 3)), y=y)
    np.savez(tmp_path / "channels.npz", X=np.ones((20, 3, 8, 8)), y=y)
    np.savez(tmp_path / "gap.npz", X=np.where(np.arange(20)[:, None, None] == 7, np.nan, np.ones((20, 8, 8))), y=y)
    np.savez(tmp_path / "words.npz", X=np.full((20, 8, 8), "a"), y=y)
    np.savez(tmp_path / "short.npz", X=X, y=y[:5])
    np.savez(tmp_path / "nan.npz", X=X * np.nan, y=y)
    np.savez(tmp_path / "rare.npz", X=X, y=np.r_[np.zeros(19), 1].astype(int))
    pd.DataFrame({"constant": 1, "y": y}).to_csv(tmp_path / "nothing.csv", index=False)
    expect_one_line([a.format(mixed=mixed, folder=tmp_path) for a in arguments], message, capsys)


def expect_one_line(arguments, message, capsys):
    assert main(["compare", *arguments]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("skrep: error: ")
    assert re.search(message, line), line


def test_bad_folders_are_told_in_one_line(folder, tmp_path, monkeypatch, capsys):
    image = pytest.importorskip("PIL.Image")
    expect_one_line([str(folder / "light")], r"light .*sub-folder.*light/cat/1\.png", capsys)
    expect_one_line([str(folder), "--target", "y"], r"--target y\b.*sub-folders", capsys)
    expect_one_line([str(folder), "--size", "0"], r"--size 0\b.*\b1\b", capsys)
    image.new("L", (9, 6)).save(folder / "light" / "wide.png")
    expect_one_line([str(folder)], r"wide\.png .*6x9.*--size N", capsys)
    (folder / "light" / "wide.png").write_bytes(b"no image")
    expect_one_line([str(folder)], r"light/wide\.png .*\bimage\b", capsys)
    whole = (folder / "light" / "00.png").read_bytes()
    (folder / "light" / "wide.png").write_bytes(whole[: len(whole) // 2])  # with a header, without the pixels
    expect_one_line([str(folder)], r"light/wide\.png .*\bimage\b", capsys)
    monkeypatch.setitem(sys.modules, "PIL", None)
    expect_one_line([str(folder)], r"Pillow.*pip install 'skrep\[images\]'", capsys)


def test_bad_report_paths_are_told_before_anything_is_read(tmp_path, monkeypatch, capsys):
    for path, message in (
        (tmp_path, r"--report .*\bfolder\b.*report\.html"),
        (tmp_path / "nowhere" / "a.html", r"--report .*a\.html .*No such file or directory"),
    ):
        expect_one_line(["nowhere.csv", "--report", str(path)], message, capsys)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    expect_one_line(
        ["nowhere.csv", "--report", str(tmp_path / "a.html")],
        r"--report\b.*matplotlib.*pip install 'skrep\[plots\]'",
        capsys,
    )
    assert list(tmp_path.iterdir()) == []


# --- failures, Ctrl-C and progress -------------------------------------------------------------------------------


def test_ctrl_c_keeps_what_is_done(folder, encoders, tmp_path, capsys):
    report = tmp_path / "out.html"
    encoders(raw=None, broken=Fails(ValueError("no luck")), slow=Fails(KeyboardInterrupt()), last=None)
    assert main(["compare", str(folder), "--resamples", "2", "--report", str(report)]) == 130
    out, err = capsys.readouterr()
    assert re.search(r"\nraw +36 ", out)
    assert "broken failed: no luck" in out
    assert "interrupted during slow" in out
    assert re.search("^skrep: .*slow, last$", err.splitlines()[-1])
    assert "Interrupted during slow" in report.read_text()


def test_ctrl_c_before_the_first_row(folder, encoders, tmp_path, capsys):
    encoders(slow=Fails(KeyboardInterrupt()), raw=None)
    assert main(["compare", str(folder), "--report", str(tmp_path / "out.html")]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "skrep: interrupted"
    assert not (tmp_path / "out.html").exists()


def test_failures(folder, encoders, capsys):
    encoders(raw=None, broken=Fails(ValueError("no\nluck")))
    assert main(["compare", str(folder), "--resamples", "2"]) == 0
    assert "broken failed: no luck" in capsys.readouterr().out
    encoders(one=Fails(ValueError("no\nluck")), two=Fails(ValueError("nor here")))
    expect_one_line([str(folder), "--resamples", "2"], "^skrep: error: no luck$", capsys)


class Stream:
    def __init__(self, is_terminal):
        self.is_terminal, self.text = is_terminal, ""

    def isatty(self):
        return self.is_terminal

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_progress_without_an_end_in_sight():
    stream = Stream(True)
    progress = Progress(stream)
    for epoch in range(3):
        progress("timed", epoch, None)
    assert [part.strip() for part in stream.text.split("\r")[1:]] == ["timed: ...", "timed: epoch 1", "timed: epoch 2"]


def test_progress(monkeypatch):
    seconds = 0.0
    monkeypatch.setattr("skrep.report.progress.time.monotonic", lambda: seconds)
    shown = {}
    for is_terminal in (True, False):
        stream, seconds = Stream(is_terminal), 0.0
        progress = Progress(stream)
        progress("raw", 0, None)
        progress("auto", 0, None)
        for epoch in range(1, 5):
            seconds += 6
            progress("auto", epoch, 10)
        progress.close()
        progress.close()
        shown[is_terminal] = stream.text
    assert shown[False].splitlines() == [
        "  raw: ...",
        "  raw: 0.0 s",
        "  auto: ...",
        "  auto: epoch 2/10, about 48 s left",
        "  auto: epoch 4/10, about 36 s left",
        "  auto: 24.0 s",
    ]
    raw, auto, rest = shown[True].split("\n")
    assert rest == ""
    assert raw == "\r  raw: ...\r  raw: 0.0 s"
    assert auto.split("\r")[1:4] == [
        "  auto: ...",
        "  auto: epoch 1/10, about 54 s left",
        "  auto: epoch 2/10, about 48 s left",
    ]
    assert auto.split("\r")[-1].rstrip() == "  auto: 24.0 s"
    assert len(auto.split("\r")[-1]) == len("  auto: epoch 4/10, about 36 s left")  # nothing of the longer line stays


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["compare", "--help"])
    assert stop.value.code == 0
    assert "--target" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
