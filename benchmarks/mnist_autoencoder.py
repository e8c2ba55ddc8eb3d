"""The deep autoencoder of Hinton & Salakhutdinov (2006), 784-1000-500-250-30, on MNIST, against PCA with 30 components.

The error is the squared error of an image of 784 pixels in [0, 1], averaged over the 10,000 test images. The paper had
3.0 with layer-wise pretraining by Boltzmann machines, and 13.9 with PCA. ``--quick`` is an epoch on ``load_fashion``.
"""

import argparse
import time

import numpy as np

from benchmarks._data import mnist
from benchmarks._options import add_data_option, parse
from skrep import AutoEncoderTransformer, PCAEncoder

QUICK = {"epochs": 1}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks mnist_autoencoder")
    add_data_option(parser)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--noise", type=float, default=0.0)
    options = parse(parser, arguments, QUICK, required=("data",))
    X, _, X_test, _ = mnist(options.data)
    train, test = (x.reshape(-1, 784).astype(np.float32) / 255 for x in (X, X_test))  # (n, 28, 28) -> rows
    pca = PCAEncoder(30).fit(train)
    error = np.square(pca.inverse_transform(pca.transform(test)) - test).sum(1).mean()
    print(f"PCA, 30 components: {error:.2f}")
    deep = AutoEncoderTransformer(
        30, hidden=(1000, 500, 250), noise=options.noise, loss="bernoulli", weight_decay=0, max_epochs=options.epochs,
        batch_size=options.batch_size, lr=options.lr, random_state=0, verbose=1,
    )  # fmt: skip
    begin = time.perf_counter()
    deep.fit(train)
    minutes = (time.perf_counter() - begin) / 60
    on_test, on_train = (np.square(deep.inverse_transform(deep.transform(x)) - x).sum(1).mean() for x in (test, train))
    print(f"784-1000-500-250-30: {on_test:.2f} on test, {on_train:.2f} on training images, {minutes:.1f} minutes")
