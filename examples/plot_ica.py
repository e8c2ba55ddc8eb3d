"""
What independence finds in photographs
======================================

PCA and ICA both turn an image patch into a few numbers, and both are linear. PCA asks for the most variance, ICA for
numbers that are as far from Gaussian as can be. On photographs that is the difference between waves and edges.
"""

# %%
# The data are patches of 12x12 pixels from two photographs that come with scikit-learn: a Chinese temple to learn from,
# a flower for testing. From each patch its mean is subtracted, and it is divided by its contrast: otherwise flat sky
# beside sharp roofs would make *any* direction look far from Gaussian.

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import kurtosis, norm
from sklearn.datasets import load_sample_image
from sklearn.feature_extraction.image import extract_patches_2d

from skrep import FastICAEncoder, PCAEncoder

SIDE = 12


def as_rows(patches):
    rows = patches.reshape(-1, SIDE**2)
    rows = rows - rows.mean(axis=1, keepdims=True)
    return (rows / np.sqrt(rows.var(axis=1, keepdims=True) + 0.02**2)).astype(np.float32)


temple, flower = (load_sample_image(name).mean(axis=2) / 255 for name in ("china.jpg", "flower.jpg"))
X_train, X_test = (
    as_rows(extract_patches_2d(grey, (SIDE, SIDE), max_patches=20_000, random_state=0)) for grey in (temple, flower)
)

# %%
# Three representations of the same 64 dimensions. ICA first whitens with PCA and then only turns the axes, so whatever
# differs between the two is a matter of *which* axes. The baseline turns PCA's axes at random.

pca = PCAEncoder(64, whiten=True).fit(X_train)
ica = FastICAEncoder(64, order="negentropy", random_state=0).fit(X_train)
turn = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0]

features = {
    "ICA": ica.transform(X_test),
    "PCA": pca.transform(X_test),
    "PCA, turned at random": pca.transform(X_test) @ turn,
}
atoms = pca.components_ * np.sqrt(pca.explained_variance_)[:, None]
atoms = {"ICA": ica.mixing_.T, "PCA": atoms, "PCA, turned at random": turn.T @ atoms}

# %%
# Each picture is an atom: what one feature adds to a patch. PCA's are in order of variance, ICA's of negentropy, the
# distance from Gaussian.


def show(ax, name):
    grid = np.ones((8 * (SIDE + 1) - 1,) * 2)
    for i, atom in enumerate(atoms[name]):
        top, left = (SIDE + 1) * (i // 8), (SIDE + 1) * (i % 8)
        grid[top : top + SIDE, left : left + SIDE] = atom.reshape(SIDE, SIDE) / np.abs(atom).max()
    ax.imshow(grid, cmap="gray", vmin=-1, vmax=1)
    ax.set_title(name, fontsize=10)
    ax.axis("off")


fig, axes = plt.subplots(1, 3, figsize=(9, 3.3), layout="constrained")
for ax, name in zip(axes, atoms, strict=True):
    show(ax, name)
plt.show()

# %%
# PCA's atoms are waves that fill the patch, from coarse to fine. ICA's are edges, each at its own place and angle, and
# the stripes of the temple's roofs. Two numbers say the same: how many of the 144 pixels hold half of an atom's energy,
# and the kurtosis of the features on the flower, which was not used for fitting: 0 for a Gaussian variable, large where
# a few patches excite a feature strongly and most hardly at all.


def pixels_of_half_the_energy(rows):
    energy = np.sort(rows**2, axis=1)[:, ::-1].cumsum(axis=1)
    return np.median((energy < energy[:, -1:] / 2).sum(axis=1) + 1)


print(f"{'median over 64 features':24} pixels with half the energy    kurtosis")
for name, rows in atoms.items():
    print(f"{name:24} {pixels_of_half_the_energy(rows):27.0f} {np.median(kurtosis(features[name])):11.1f}")

# %%
# How often a feature takes which value, in its own standard deviations, on a logarithmic scale:

styles = {"ICA": ("#d55e00", "-"), "PCA": ("#0072b2", "-"), "PCA, turned at random": ("#999999", "-")}
bins = np.linspace(-8, 8, 81)
middles = (bins[1:] + bins[:-1]) / 2
fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
for name, values in features.items():
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    density = np.histogram(values, bins, density=True)[0]
    colour, line = styles[name]
    ax.semilogy(middles, density, line, color=colour, label=name)
ax.semilogy(middles, norm.pdf(middles), "k:", label="Gaussian")
ax.set(xlabel="value of a feature, in standard deviations", ylabel="density", ylim=(1e-5, 2))
ax.grid(alpha=0.3)
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
plt.show()

# %%
# ICA's features are the sparsest: values beyond five standard deviations are twice as frequent as with PCA and three
# times as frequent as with random axes. Photographs are not equally sparse in all coordinates; ICA looks for those in
# which they are most.

for name, values in features.items():
    far = np.abs(values - values.mean(axis=0)) > 5 * values.std(axis=0)
    print(f"{name:24} {far.mean():.2%} of the values")

# %%
# Where in the temple's picture are the first six features of each far from zero? ICA's first find is a thing, the tiled
# roofs. PCA's answer to contours everywhere.

everywhere = np.lib.stride_tricks.sliding_window_view(temple, (SIDE, SIDE))[::2, ::2]
height, width = everywhere.shape[:2]
fig, axes = plt.subplots(1, 3, figsize=(9, 2.4), layout="constrained")
axes[0].imshow(temple, cmap="gray")
axes[0].set_title("photograph", fontsize=10)
for ax, (name, encoder) in zip(axes[1:], {"ICA": ica, "PCA": pca}.items(), strict=True):
    first = np.abs(encoder.transform(as_rows(everywhere))[:, :6]).max(axis=1)
    ax.imshow(first.reshape(height, width), cmap="magma")
    ax.set_title(f"largest of {name}'s first six", fontsize=10)
for ax in axes:
    ax.axis("off")
plt.show()

# %%
# What this does not say is that ICA predicts better. The three hold the same information, and a model that is free to
# turn the axes back, such as a linear one without a penalty, cannot tell them apart. Sparse, local features are for
# where each is looked at by itself.
