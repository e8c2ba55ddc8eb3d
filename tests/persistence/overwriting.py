"""A program that forks processes which save over one file again and again, until they are killed."""

import os
import signal
import sys

import numpy as np
import torch

import skrep
from skrep import AutoEncoderTransformer

ROWS = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)


def fitted(seed: int) -> AutoEncoderTransformer:
    """Two of these differ in every feature, and in the size of their file."""
    hidden = (8,) if seed == 0 else (300, 200)
    return AutoEncoderTransformer(2, hidden=hidden, max_epochs=1, random_state=seed).fit(ROWS)


def main(path: str) -> None:
    """Fork for each line of the input: the digits in it are the estimators to save in turn; "." is the end of it."""
    torch.set_num_threads(1)
    estimators = [fitted(0), fitted(1)]
    skrep.save(estimators[0], path)
    print("ready", flush=True)
    children: list[int] = []
    for line in map(str.strip, sys.stdin):
        if line == ".":
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            children = []
            print("killed", flush=True)
            continue
        children.append(os.fork())
        if not children[-1]:
            while True:
                for digit in line:
                    skrep.save(estimators[int(digit)], path)
        print("begun", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
