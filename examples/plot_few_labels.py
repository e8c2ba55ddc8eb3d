"""
How far do a few labels go?
===========================

1,797 images of handwritten digits, and labels for only some of them. An encoder can learn from all images; the labels
are for the classifier. The question is how many labels each representation needs.
"""

# %%
# Four representations of the same rows: the pixels themselves, an untrained network, PCA, and an autoencoder. The
# untrained network has the same layers as the autoencoder, so the gap between the two is what was learned.

import os

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from skrep import AutoEncoderTransformer, PCAEncoder, RandomEncoder
from skrep.evaluation import compare

X, y = load_digits(return_X_y=True)
epochs = int(os.environ.get("SKREP_EXAMPLE_EPOCHS", 200))
auto = AutoEncoderTransformer(32, max_epochs=epochs, random_state=0)
untrained = RandomEncoder(like=auto)
encoders = {"pixels": None, "untrained network": untrained, "PCA": PCAEncoder(32), "autoencoder": auto}
result = compare(encoders, X, y, budgets=[1, 2, 5, 10, 20, 50, 1.0], n_resamples=20)
print(result)

# %%
# The curves. Bands are the standard error of the mean over 20 draws of labels; all curves see the same draws. PCA's
# components carry nearly all of the variance, yet with few labels they do worse than the pixels: once they are scaled
# to unit variance, components that are mostly noise weigh as much as the first. The autoencoder has learned to tell
# structure from noise, because that is what removing noise takes, and it is ahead until labels are plentiful.

colours = {"pixels": "#4d4d4d", "untrained network": "#b0b0b0", "PCA": "#3b7dd8", "autoencoder": "#d9541e"}
fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for row in result.rows:
    n = np.array(row.scores.n_labels) / 10
    error = row.scores.sd / np.sqrt([len(s) for s in row.scores.scores])
    ax.plot(n, row.scores.mean, marker="o", markersize=4, color=colours[row.name], label=row.name)
    ax.fill_between(n, row.scores.mean - error, row.scores.mean + error, color=colours[row.name], alpha=0.2, lw=0)
ax.set_xscale("log")
ax.set_xticks([1, 2, 5, 10, 20, 50, 135], ["1", "2", "5", "10", "20", "50", "all (135)"])
ax.minorticks_off()
ax.set(xlabel="labels per class", ylabel="test accuracy", title="Digits: a linear probe on four representations")
ax.grid(alpha=0.3)
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False, loc="lower right")
plt.show()

# %%
# What the autoencoder sees and what it makes of it: rows with the noise that it is trained with, and the rows that it
# rebuilds from 32 numbers.

encoder = auto.fit(X)
rng = np.random.default_rng(0)
clean = X[:10]
noisy = clean + rng.normal(size=clean.shape) * 0.5 * np.sqrt(X.var(0).mean())
rebuilt = encoder.inverse_transform(encoder.transform(noisy))

fig, axes = plt.subplots(3, 10, figsize=(7, 2.4), layout="constrained")
for line, rows, label in zip(axes, (clean, noisy, rebuilt), ("image", "with noise", "rebuilt"), strict=True):
    for ax, row in zip(line, rows, strict=True):
        ax.imshow(row.reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    line[0].set_ylabel(label, rotation=0, ha="right", va="center")
plt.show()
