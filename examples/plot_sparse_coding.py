"""
What are digits made of?
========================

1,797 images of handwritten digits, each written as a sum of a few atoms out of a hundred that are learned from them.
Which atoms are these, how many does a digit need, and when are they better features than pixels?
"""

# %%
# Atoms are learned from three quarters of the images, without their labels. PCA, for comparison, finds components: each
# is orthogonal to the others, and all are needed for every image.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skrep import PCAEncoder, SparseCoder
from skrep.displays import AtomsDisplay
from skrep.evaluation import few_label_probe

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)

coder = SparseCoder(100, random_state=0).fit(X_train)
pca = PCAEncoder(0.99).fit(X_train)
Z = coder.transform(X_test)
print(f"{np.mean(Z != 0):.0%} of the numbers of a code are not zero: {np.sum(Z != 0, axis=1).mean():.1f} atoms a digit")

by_use = np.argsort(-np.abs(Z).sum(0))  # the atoms that are used most first
fig, (left, right) = plt.subplots(1, 2, figsize=(7, 3.7), layout="constrained")
AtomsDisplay.from_estimator(coder, order=by_use, max_atoms=36, ax=left, cmap="RdBu_r")
AtomsDisplay.from_estimator(pca, max_atoms=36, ax=right, cmap="RdBu_r")
left.set_title("36 of 100 atoms, most used first")
right.set_title("components of PCA, largest first")
plt.show()

# %%
# Red is positive, blue negative, white zero. An atom is a digit in one hand's style, and a code says: mostly this
# seven, a little of that nine. The first components of PCA are contrasts between regions, later ones patterns that no
# pen draws.

# %%
# How many atoms does a digit need?
# ---------------------------------
#
# With the learned atoms as a dictionary, orthogonal matching pursuit picks a given number of them for each image. PCA
# has the same components for all images. What part of the variance is left over?

numbers = [1, 2, 4, 8, 16]
rebuilt = {"atoms": {}, "PCA": {}}
for n in numbers:
    pursuit = SparseCoder(dictionary=coder.components_, algorithm="omp", n_nonzero_coefs=n)
    for name, encoder in {"atoms": pursuit, "PCA": PCAEncoder(n)}.items():
        encoder.fit(X_train)
        rebuilt[name][n] = encoder.inverse_transform(encoder.transform(X_test))

variance = np.mean((X_test - X_train.mean(0)) ** 2)
left_over = {name: {n: np.mean((X_test - rows) ** 2) for n, rows in of.items()} for name, of in rebuilt.items()}
print((pd.DataFrame(left_over) / variance).round(3))

shown = [np.flatnonzero(y_test == digit)[0] for digit in range(10)]
lines = {"image": X_test, "1 atom": rebuilt["atoms"][1], "4 atoms": rebuilt["atoms"][4]}
lines |= {"8 atoms": rebuilt["atoms"][8], "PCA, 8": rebuilt["PCA"][8]}
fig, axes = plt.subplots(len(lines), 10, figsize=(7, 3.7), layout="constrained")
for line, (label, rows) in zip(axes, lines.items(), strict=True):
    for ax, row in zip(line, rows[shown], strict=True):
        ax.imshow(row.reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    line[0].set_ylabel(label, rotation=0, ha="right", va="center")
plt.show()

# %%
# One atom says more than four components, and four atoms more than eight. The dictionary is larger, and a code must
# name its atoms as well as their weights; what is gained is that every image has atoms of its own.
#
# As features
# -----------
#
# A logistic regression on each representation, from 2 labels a class to all of them; means over 20 draws of labels.

encoders = {
    "pixels": None,
    "PCA, 99 % of variance": pca,
    "100 atoms": coder,
    "200 atoms": SparseCoder(200, random_state=0).fit(X_train),
}
labels = [2, 5, 10, 20, 50, 1.0]
curves = {
    name: few_label_probe(encoder, X_train, y_train, X_test, y_test, labels=labels, n_resamples=20)
    for name, encoder in encoders.items()
}
print(pd.DataFrame({name: scores.mean for name, scores in curves.items()}, index=[*labels[:-1], "all"]).round(3))

styles = [("#333333", "s"), ("#0072b2", "^"), ("#d55e00", "o"), ("#cc79a7", "D")]
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for (name, scores), (colour, marker) in zip(curves.items(), styles, strict=True):
    ax.plot(np.array(scores.n_labels) / 10, 1 - np.array(scores.mean), color=colour, marker=marker, ms=5, label=name)
ax.set(xscale="log", yscale="log", xlabel="labels per class", ylabel="test error")
ax.set_xticks([2, 5, 10, 20, 50, 134.7], ["2", "5", "10", "20", "50", "all"])
ax.set_yticks([0.01, 0.02, 0.05, 0.1, 0.2, 0.5], ["1 %", "2 %", "5 %", "10 %", "20 %", "50 %"])
ax.minorticks_off()
ax.grid(alpha=0.3)
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False, loc="lower left")
plt.show()

# %%
# With few labels pixels are best. An atom that no labelled image uses tells the classifier nothing, and of 200 atoms,
# each used by three images in a hundred, many are such. From about 20 labels a class a hundred atoms are ahead, and
# with all labels two hundred make less than half the errors of the pixels: classes that no plane separates in 64 pixels
# can be separated where each style of a digit has a number of its own. PCA only turns the pixels, and cannot do that.
#
# So take more atoms the more labels there are, and compare with the raw columns.
