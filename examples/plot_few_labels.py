"""
How far do a few labels go?
===========================

1,797 images of handwritten digits, and labels for only some of them. An encoder can learn from images that have no
label; the labels are for the classifier. The question is how many labels each representation needs.
"""

# %%
# Four representations of the same rows: the pixels themselves, an untrained network, PCA, and an autoencoder that is
# trained to remove noise. The untrained network has the same layers as the autoencoder, so the gap between the two is
# what was learned. A quarter of the images is held out for testing; no encoder sees them.

import os

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skrep import AutoEncoderTransformer, PCAEncoder, RandomEncoder
from skrep.evaluation import few_label_probe

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)

epochs = min(200, int(os.environ.get("SKREP_EXAMPLE_EPOCHS", 200)))
auto = AutoEncoderTransformer(32, noise=0.5, max_epochs=epochs, random_state=0).fit(X_train)
pca = PCAEncoder(32).fit(X_train)
encoders = {"autoencoder": auto, "pixels": None, "PCA": pca, "untrained network": RandomEncoder(like=auto)}

labels = [1, 2, 5, 10, 20, 1.0]
curves = {
    name: few_label_probe(encoder, X_train, y_train, X_test, y_test, labels=labels, n_resamples=20)
    for name, encoder in encoders.items()
}
for name, scores in curves.items():
    print(f"{name}\n{scores}\n")

# %%
# A logistic regression is trained on each representation with 1 to 20 labels a class, and with all. Points are means
# over 20 draws of labels, bars one standard deviation; with all labels there is only one draw. Every representation
# gets the same draws.

styles = {
    "autoencoder": ("#d55e00", "o"),
    "pixels": ("#333333", "s"),
    "PCA": ("#0072b2", "^"),
    "untrained network": ("#999999", "D"),
}
fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for shift, (name, scores) in zip((0.97, 0.99, 1.01, 1.03), curves.items(), strict=True):
    colour, marker = styles[name]
    x = shift * np.array(scores.n_labels) / 10  # apart by 2 %, so that bars do not hide each other
    ax.errorbar(
        x, scores.mean, scores.sd, color=colour, marker=marker, markersize=5, capsize=2, elinewidth=1, label=name
    )
ax.set_xscale("log")
ax.set_xticks([1, 2, 5, 10, 20, 134.7], ["1", "2", "5", "10", "20", "all"])
ax.minorticks_off()
ax.set(xlabel="labels per class", ylabel="test accuracy", ylim=(0.3, 1))
ax.grid(alpha=0.3)
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False, loc="lower right")
plt.show()

# %%
# The autoencoder is ahead while labels are few, and the gap closes as they grow: with all labels, pixels, PCA and
# autoencoder are about equal. The untrained network is behind the autoencoder and the pixels throughout, so the lead
# comes from training and not from the layers.
#
# PCA's 32 components carry 97 % of the variance, and the probe does as well on them as on the pixels: it divides all
# features by one number, so that a component counts by its variance. Behind a StandardScaler, which makes the last
# component as loud as the first, they would fall from 0.66 to 0.38 with one label a class. A representation is always
# judged together with the model on top of it.
#
# The comparison is paired. On how many of the 20 draws is the autoencoder better than the pixels?

for count, a, b in zip(labels[:-1], curves["autoencoder"].scores, curves["pixels"].scores, strict=False):
    print(f"{count:2d} labels a class: {np.sum(a > b)} of {len(a)} draws, {np.mean(a - b):+.3f} on average")

# %%
# What the autoencoder has learned to do, on digits that it has not seen: held-out images, the same with noise as in
# training, and what PCA and the autoencoder rebuild from them, both from 32 numbers.

scale = np.sqrt(X_train.var(axis=0).mean())
noisy = X_test + 0.5 * scale * np.random.default_rng(0).normal(size=X_test.shape)
by_pca = pca.inverse_transform(pca.transform(noisy))
by_auto = auto.inverse_transform(auto.transform(noisy))
for name, rows in {"noise": noisy, "PCA": by_pca, "autoencoder": by_auto}.items():
    print(f"{name:>11}: mean squared error {np.mean((rows - X_test) ** 2) / scale**2:.3f} of the variance")

shown = [np.flatnonzero(y_test == digit)[0] for digit in range(10)]
lines = {"image": X_test, "with noise": noisy, "PCA": by_pca, "autoencoder": by_auto}
fig, axes = plt.subplots(4, 10, figsize=(7, 3.1), layout="constrained")
for line, (label, rows) in zip(axes, lines.items(), strict=True):
    for ax, row in zip(line, rows[shown], strict=True):
        ax.imshow(row.reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    line[0].set_ylabel(label, rotation=0, ha="right", va="center")
plt.show()

# %%
# PCA keeps the noise that lies along its 32 components. The autoencoder removes more of it: it has learned which
# strokes go together. :func:`skrep.evaluation.compare` makes a table like the one above in one call.
