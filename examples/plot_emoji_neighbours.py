"""
Which pictures are alike?
=========================

1,906 emoji, 32 x 32 pixels in colour. SimCLR learns from three quarters of them, without names or categories, to
recognise a picture in two distortions of it. What are neighbours in its features, and what are neighbours in pixels?
"""

# %%
# First a look at what the network is shown: each emoji twice, at random cut, mirrored, changed in colour, sometimes
# grey. None of them would get another name for that.

import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from skrep import RandomEncoder, SimCLRTransformer
from skrep.datasets import load_emoji
from skrep.displays import NeighborsDisplay, ViewsDisplay
from skrep.views import ColorJitter, GaussianBlur, GaussianNoise, RandomErasing, RandomFlip, RandomResizedCrop

emoji = load_emoji()
X = emoji.images
train, test = train_test_split(np.arange(len(X)), test_size=0.25, stratify=emoji.target, random_state=0)

epochs = min(100, int(os.environ.get("SKREP_EXAMPLE_EPOCHS", 100)))
simclr = SimCLRTransformer(max_epochs=epochs, random_state=0).fit(X[train])
ViewsDisplay.from_estimator(simclr, X[test], n_samples=6)
plt.show()

# %%
# Three spaces to look for neighbours in: pixels, as differences from the mean picture, and the features of the
# untrained and of the trained network. In all of them those are near that make a small angle, which is how the loss
# compares; between rows of length 1 it is small where their distance is.

untrained = RandomEncoder(like=simclr).fit(X[train])
mean_picture = X[train].mean(axis=0)
spaces = {
    "pixels": lambda images: normalize((images - mean_picture).reshape(len(images), -1)),
    "untrained network": lambda images: normalize(untrained.transform(images)),
    "SimCLR": lambda images: normalize(simclr.transform(images)),
}
gallery = {name: space(X) for name, space in spaces.items()}

# %%
# Finding a picture again
# -----------------------
#
# A quarter of the emoji was held out of training. Each of them is distorted; is the nearest of all 1,906 pictures the
# one that it was made from? Four of the distortions are like those that the network was trained on. Three are not.


def shift(x, generator):
    return x.roll((3, 3), (2, 3))  # three pixels down and to the right


distortions = {
    "mirrored": RandomFlip(1.0),
    "cut in half": RandomResizedCrop((0.5, 0.5)),
    "colours changed": ColorJitter(p=1.0),
    "shifted": shift,
    "with noise": GaussianNoise(0.2),
    "blurred": GaussianBlur((1.0, 1.0), p=1.0),
    "with a hole": RandomErasing(p=1.0),
}
generator = torch.Generator().manual_seed(0)
x = torch.tensor(X[test] / 255, dtype=torch.float32).permute(0, 3, 1, 2)  # channels first, as views have them
copies, found = {}, {space: [] for space in spaces}
for distortion, view in distortions.items():
    views = view(x, generator).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    copies[distortion] = (255 * views).round().astype(np.uint8)
    for name, space in spaces.items():
        nearest = NearestNeighbors(n_neighbors=1).fit(gallery[name]).kneighbors(space(copies[distortion]))[1][:, 0]
        found[name].append(np.mean(nearest == test))

fig, (pictures, chart) = plt.subplots(1, 2, figsize=(7, 3.8), width_ratios=(1.35, 4), layout="constrained")
lines = np.arange(len(distortions))
pictures.imshow(np.concatenate([np.hstack(images[:3]) for images in copies.values()]), aspect="auto")
pictures.set_axis_off()
chart.hlines(lines, 0, 1, color="0.9", zorder=0)
for (name, shares), (colour, marker) in zip(
    found.items(), [("0.35", "s"), ("0.6", "D"), ("#d55e00", "o")], strict=True
):
    chart.plot(shares, lines, marker, color=colour, label=name)
chart.set(xlim=(0, 1.02), ylim=(len(lines) - 0.5, -0.5), xlabel="share of pictures found again")
chart.set_yticks(lines, distortions)
chart.spines[["top", "right", "left"]].set_visible(False)
chart.tick_params(axis="y", length=0)
chart.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.4, 1.13), ncols=3, handletextpad=0.1)
plt.show()
print(pd.DataFrame(found, index=list(distortions)).round(2))

# %%
# What the views of training did to the pictures, the features have learned to pass over: cut and shifted pictures are
# found far more often than by their pixels, mirrored ones and those in other colours more often. Nobody showed the
# network noise, blur or holes, and there the pixels are better, with noise by a wide margin. A representation is robust
# to what it was trained on, not in general. If your pictures are noisy, ``"noise"`` belongs into ``augment``.

# %%
# Neighbours
# ----------
#
# Held-out emoji, one drawn at random from each category, and the five pictures nearest to each, on the left by pixels
# and on the right by SimCLR. Solid frames are of the same category, of which the network knows nothing.

rng = np.random.default_rng(0)
queries = [rng.choice(test[emoji.target[test] == category]) for category in range(9)]
categories = emoji.target_names[emoji.target]
fig, axes = plt.subplots(1, 2, figsize=(10.5, 8), layout="constrained")
for ax, name in zip(axes, ["pixels", "SimCLR"], strict=True):
    NeighborsDisplay.from_features(gallery[name], X, categories, queries=queries, ax=ax)
    ax.set_title(name)
axes[1].set_yticks([])  # the categories are on the left
plt.show()

# %%
# How many of the five nearest pictures are of the same category?

same = {}
for name, Z in gallery.items():
    nearest = NearestNeighbors(n_neighbors=5).fit(Z).kneighbors(return_distance=False)[test]
    same[name] = np.mean(categories[nearest] == categories[test, np.newaxis], axis=1)
shares = pd.DataFrame(same).groupby(categories[test]).mean()
shares.loc["all"] = pd.DataFrame(same).mean()
print(shares.round(2))

# %%
# Hardly more often than in pixels, and unevenly: more for animals and objects, about the same for people, smileys, food
# and places, less for symbols and flags. That is no surprise. Food is food because one eats it, and nothing in a
# picture tells; the views taught the network inner structure and outlines in any place and colour. Learning without
# labels finds what pictures share, which is not always what their categories share.
