"""
How many components?
====================

5,000 photographs of clothing, 784 pixels each. PCA replaces the pixels by as many numbers as one likes, the first of
which tell most. How many are enough depends on what they are for: to explain variance, to redraw the pictures, or to
tell the classes from few labels.
"""

# %%
# A quarter of the photographs is held out. The others arrive 500 at a time, as they would from a file that does not
# fit into memory: ``partial_fit`` adds up what PCA needs to know of them. That is no approximation.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skrep import PCAEncoder
from skrep.datasets import load_fashion
from skrep.displays import AtomsDisplay, SpectrumDisplay
from skrep.evaluation import few_label_probe

images, y = load_fashion(return_X_y=True)
X = images.reshape(len(images), -1) / 255  # (5000, 28, 28, 1) -> (5000, 784)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)

pca = PCAEncoder()
for start in range(0, len(X_train), 500):
    pca.partial_fit(X_train[start : start + 500])

at_once = PCAEncoder().fit(X_train)
for name in ("components_", "explained_variance_"):
    difference = np.abs(getattr(pca, name) - getattr(at_once, name)).max()
    print(f"{name}: largest difference to fit {difference:.0e}")

# %%
# To explain variance
# -------------------
#
# How far does the variance gather in few components? Beside the photographs stands the same data with each pixel
# shuffled over the photographs: every pixel keeps its values, but pixels no longer go together.

shuffled = np.random.default_rng(0).permuted(X_train, axis=0)

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
SpectrumDisplay.from_estimator(PCAEncoder().fit(shuffled), name="each pixel shuffled", ax=ax, color="#999999")
SpectrumDisplay.from_estimator(pca, name="photographs", ax=ax, color="#0072b2")
ax.grid(alpha=0.3)
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# 79 components explain 90 % of the variance: a tenth as many numbers as there are pixels. It takes twice as many to
# come to 95 %. Without what pixels have in common it would be 497 and 564. ``PCAEncoder(0.9)`` stops at 90 % by
# itself.
#
# Components have the shape of the pictures; red and blue are opposite signs. The first tells tops from sandals and
# sneakers, the second trousers and dresses from boots and bags. After the hundredth there is hardly more than
# speckle.

fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
fig.get_layout_engine().set(wspace=0.08)
for ax, first in zip(axes, (0, 100), strict=True):
    AtomsDisplay.from_estimator(pca, order=range(first, first + 20), ax=ax, cmap="RdBu_r")
    ax.set_title(f"components {first + 1} to {first + 20}", fontsize=10)
    ax.set_yticks([])
plt.show()

# %%
# To redraw the pictures
# ----------------------
#
# Components are nested: the first five of a large fit are those of a fit with five. So one encoder serves for all
# widths. The baseline projects onto as many directions at random.

Z_train, Z_test = pca.transform(X_train), pca.transform(X_test)
directions = np.linalg.qr(np.random.default_rng(0).normal(size=(784, 784)))[0].T  # rows are orthonormal
random_train, random_test = (X_train - pca.mean_) @ directions.T, (X_test - pca.mean_) @ directions.T

redrawn = {f"{k} components": Z_test[:, :k] @ pca.components_[:k] + pca.mean_ for k in (5, 20, 80)}
redrawn["80 at random"] = random_test[:, :80] @ directions[:80] + pca.mean_

variance = np.mean((X_test - pca.mean_) ** 2)
for name, rows in redrawn.items():
    print(f"{name:>13}: {np.mean((rows - X_test) ** 2) / variance:4.0%} of the variance lost")

shown = [np.flatnonzero(y_test == label)[0] for label in range(10)]
fig, axes = plt.subplots(5, 10, figsize=(7, 3.4), layout="constrained")
for line, (label, rows) in zip(axes, {"photograph": X_test, **redrawn}.items(), strict=True):
    for ax, row in zip(line, rows[shown], strict=True):
        ax.imshow(row.reshape(28, 28), cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
plt.show()

# %%
# Five numbers draw the kind of garment, and the sandal as a shoe. 80 draw the cut, and a hint of the pattern. 80
# random numbers add little to the mean picture: a tenth of the directions, a tenth of the variance.
#
# To tell the classes apart
# -------------------------
#
# The first k components go to a logistic regression with 1 or 5 labels a class, or all 3,750. Points are means over
# 20 draws of labels (with all there is one draw). The probe divides all features by one number. "Each scaled" are the
# same components behind a StandardScaler, which makes the fortieth as loud as the first.

widths = [2, 5, 10, 20, 40, 80, 160]
labels, titles = [1, 5, 1.0], ["1 label a class", "5 labels a class", "all labels"]


each_scaled = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def probe(train, test, model=None):
    return few_label_probe(None, train, y_train, test, y_test, labels=labels, n_resamples=20, probe=model).mean


pixels = probe(X_train, X_test)
accuracies = {
    "components": [probe(Z_train[:, :k], Z_test[:, :k]) for k in widths],
    "components, each scaled": [probe(Z_train[:, :k], Z_test[:, :k], each_scaled) for k in widths],
    "random projection": [probe(random_train[:, :k], random_test[:, :k]) for k in widths],
}

styles = {
    "components": ("#0072b2", "o"),
    "components, each scaled": ("#d55e00", "^"),
    "random projection": ("#999999", "D"),
}
fig, axes = plt.subplots(1, 3, figsize=(9, 3.5), layout="constrained", sharey=True)
for i, (ax, title) in enumerate(zip(axes, titles, strict=True)):
    for name, rows in accuracies.items():
        colour, marker = styles[name]
        ax.plot(widths, [row[i] for row in rows], color=colour, marker=marker, markersize=4, label=name)
    ax.axhline(pixels[i], color="#333333", linestyle="--", label="784 pixels")
    ax.set_xscale("log")
    ax.set_xticks(widths, [f"{k}" for k in widths])
    ax.minorticks_off()
    ax.set_title(title, fontsize=10)
    ax.set(xlabel="features", ylim=(0.1, 0.9))
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("test accuracy")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
plt.show()

for i, title in enumerate(titles):
    print(f"{title}: pixels {pixels[i]:.2f}")
    for name, rows in accuracies.items():
        print(f"  {name:28} " + ", ".join(f"{row[i]:.2f} from {k}" for k, row in zip(widths, rows, strict=True)))

# %%
# With few labels ten components do as well as 784 pixels, with all labels 80 do, and more of them do no harm. The
# harm is in making each as loud as the first, which is also what ``whiten=True`` does: with few labels, 160
# components that are scaled each by its own spread are no better than two. Keep their proportions.
#
# PCA adds no knowledge: it says the same in a tenth of the numbers. A random projection needs many times as many.
