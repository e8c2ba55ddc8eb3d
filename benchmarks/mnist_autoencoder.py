"""The deep autoencoder of Hinton & Salakhutdinov (2006), 784-1000-500-250-30, on MNIST, against PCA with 30 components.

The error is the squared error of an image of 784 pixels in [0, 1], averaged over the 10,000 test images. The paper had
3.0 with layer-wise pretraining by Boltzmann machines, and 13.9 with PCA.
"""

import argparse
import time

import numpy as np

from benchmarks._data import add_data_option
from skrep import AutoEncoderTransformer, PCAEncoder


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks mnist_autoencoder")
    add_data_option(parser, required=True)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--noise", type=float, default=0.0)
    options = parser.parse_args(arguments)
    with np.load(options.data / "mnist.npz") as archive:
        train, test = (archive[name].reshape(-1, 784).astype(np.float32) / 255 for name in ("x_train", "x_test"))
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
