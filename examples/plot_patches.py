"""
What is in a patch?
===================

Small pieces of images are simple: edges, bars, corners. A dictionary of such pieces can be learned in seconds, without
labels and without a network. Which pieces are they, and how far do they go towards telling clothes apart?
"""

# %%
# Atoms of photographs
# --------------------
#
# Two photographs, of a temple and of a flower, in grey. 20,000 patches of 8 x 8 pixels are drawn from them, given equal
# brightness and contrast, and whitened: neighbouring pixels are no longer alike. Then a dictionary of 144 atoms is
# learned, such that each patch is a sum of few of them. Beside it stand the principal components of the patches as
# they are.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_images
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skrep import PatchEncoder, PCAEncoder, RandomEncoder, SparseCoder
from skrep.datasets import load_fashion
from skrep.displays import AtomsDisplay, FewLabelDisplay
from skrep.evaluation import compare
from skrep.patches import ImagePatches

photographs = np.stack(load_sample_images().images).mean(axis=3, keepdims=True).astype(np.uint8)  # (2, 427, 640, 1)

patches = ImagePatches(8, random_state=0).fit(photographs)
whitened = patches.sample(photographs, 20_000)
sparse = SparseCoder(144, max_iter=5, random_state=0).fit(whitened)

plain = ImagePatches(8, normalize=False, whiten=False, random_state=0).fit(photographs)
pca = PCAEncoder().fit(plain.sample(photographs, 20_000))

fig, axes = plt.subplots(1, 2, figsize=(8, 4.2), layout="constrained")
AtomsDisplay.from_estimator(pca, ax=axes[0])
AtomsDisplay.from_atoms(patches.to_pixels(sparse.components_), max_atoms=144, ax=axes[1])
axes[0].set_title("64 principal components")
axes[1].set_title("144 atoms of a sparse code")
plt.show()

# %%
# Principal components are waves that fill the patch, and would be nearly the same for any photographs. Atoms are edges
# and bars, each in its place, direction and width, as cells of the visual cortex prefer them (Olshausen & Field 1996).
# How many of them does a patch need?

codes = sparse.transform(whitened[:5000])
print(f"{np.count_nonzero(codes, axis=1).mean():.1f} of 144 atoms in a patch, on average")

# %%
# From patches to features
# ------------------------
#
# 5,000 photographs of clothing. :class:`skrep.PatchEncoder` learns atoms from their patches, codes every patch of a
# picture and sums up the codes over each quarter of it (Coates & Ng 2011). It stands beside the pixels, 32 principal
# components of them, and an untrained convolutional network. All see the same 3,750 pictures and no labels; then a
# logistic regression gets from 1 to 20 labels a class, ten times each, or all, and is tested on the other 1,250.

fashion = load_fashion()
X, y = fashion.images, fashion.target_names[fashion.target]  # (5000, 28, 28, 1), uint8
flatten = FunctionTransformer(lambda images: images.reshape(len(images), -1))
comparison = compare(
    {
        "raw": None,
        "random": RandomEncoder(random_state=0),
        "pca": make_pipeline(flatten, PCAEncoder(32)),
        "patches": PatchEncoder(random_state=0),
        "patches, 3 x 3": PatchEncoder(pooling=(3, 3), random_state=0),
    },
    X,
    y,
    labels=[1, 2, 5, 10, 20, 1.0],
)
print(comparison)

# %%

display = FewLabelDisplay.from_comparison(comparison)
display.figure_.set_size_inches(7, 4.2)
plt.show()

# %%
# Patches are ahead of everything else at each number of labels, and sums over nine regions, which say better where
# something is, are ahead of sums over four. They have many more features than the others: that is their price, in
# memory and in the time that the classifier takes.
#
# What was learned
# ----------------
#
# The atoms, each of 6 x 6 pixels: edges, hems and seams in all directions.

encoder = {row.name: row for row in comparison.rows}["patches"].encoder
atoms = encoder.patches_.to_pixels(encoder.coder_.components_)  # (144, 6, 6, 1)
fig, ax = plt.subplots(figsize=(4.2, 4.2), layout="constrained")
AtomsDisplay.from_atoms(atoms, max_atoms=144, ax=ax)
plt.show()

# %%
# And where they are: a shoe, the atom that is strongest in each quarter of it, and where in the picture that atom is
# found. A code has the positive parts of all 144 atoms first, then their negative parts.

shoe = X[np.flatnonzero(y == "Ankle boot")[0]]
strengths = encoder.transform(shoe[np.newaxis]).reshape(4, 2, 144).sum(axis=1)  # of each atom, in each quarter
codes = encoder.coder_.transform(encoder.patches_.transform(shoe[np.newaxis]).reshape(-1, 36))
maps = codes.reshape(23, 23, 2, 144).sum(axis=2)  # (patches, codes) -> (rows, columns, atoms)

fig, axes = plt.subplots(2, 5, figsize=(7, 3.1), layout="constrained")
axes[0, 0].imshow(shoe[..., 0], cmap="gray")
quarters = ["upper left", "upper right", "lower left", "lower right"]
for (above, below), atom, quarter in zip(axes.T[1:], strengths.argmax(axis=1), quarters, strict=True):
    above.imshow(atoms[atom, :, :, 0], cmap="gray")
    above.set_title(quarter, fontsize="medium")
    below.imshow(maps[:, :, atom], cmap="gray")
for ax in axes.flat:
    ax.set_axis_off()
plt.show()
