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
from skrep.displays import ViewsDisplay
from skrep.views import ColorJitter, GaussianBlur, GaussianNoise, RandomErasing, RandomFlip, RandomResizedCrop

emoji = load_emoji()
X, names = emoji.images, emoji.names
train, test = train_test_split(np.arange(len(X)), test_size=0.25, stratify=emoji.target, random_state=0)

epochs = min(100, int(os.environ.get("SKREP_EXAMPLE_EPOCHS", 100)))
simclr = SimCLRTransformer(max_epochs=epochs, random_state=0).fit(X[train])
ViewsDisplay.from_estimator(simclr, X[test], n_samples=6)
plt.show()

# %%
# Three spaces to look for neighbours in: pixels by their differences, and the features of the trained and of the
# untrained network by the angle between them, which is how the loss compares.

untrained = RandomEncoder(like=simclr).fit(X[train])
spaces = {
    "pixels": lambda images: images.reshape(len(images), -1) / 255,
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
# What the views of training did to the pictures, the features have learned to pass over: mirrored, cut and shifted
# pictures are found far more often than by their pixels, and those in other colours more often. Nobody showed the
# network noise, blur or holes, and there the pixels are better, with noise by a wide margin. A representation is robust
# to what it was trained on, not in general. If your pictures are noisy, ``"noise"`` belongs into ``augment``.

# %%
# Neighbours
# ----------
#
# Held-out emoji, one drawn at random from each category, and the five pictures nearest to each, on the left by pixels
# and on the right by SimCLR.

rng = np.random.default_rng(0)
queries = [rng.choice(test[emoji.target[test] == category]) for category in range(9)]
neighbours = {
    name: NearestNeighbors(n_neighbors=6).fit(gallery[name]).kneighbors(gallery[name], return_distance=False)[:, 1:]
    for name in spaces
}
blank = np.full_like(X[0], 255)
fig, ax = plt.subplots(figsize=(7, 5), layout="constrained")
lines = [
    [X[query], blank, *X[neighbours["pixels"][query]], blank, *X[neighbours["SimCLR"][query]]] for query in queries
]
ax.imshow(np.concatenate([np.hstack(line) for line in lines]))
ax.set_xticks([16, 144, 336], ["emoji", "nearest by pixels", "nearest by SimCLR"])
ax.set_yticks(16 + 32 * np.arange(9), [names[query] for query in queries])
ax.tick_params(length=0, labeltop=True, labelbottom=False)
ax.spines[:].set_visible(False)
plt.show()

# %%
# How many of the five nearest pictures are of the same category?

category = emoji.target[test]
same = {name: np.mean(emoji.target[nearest[test]] == category[:, None], axis=1) for name, nearest in neighbours.items()}
shares = pd.DataFrame(same).groupby(emoji.target_names[category]).mean()
shares.loc["all"] = pd.DataFrame(same).mean()
print(shares.round(2))

# %%
# A little more often than in pixels, and unevenly: more for people, animals and objects, the same or less for smileys,
# food, symbols and places. That is no surprise. Food is food because one eats it, and nothing in a picture tells; the
# views taught the network inner structure and outlines in any place and colour. Learning without labels finds what
# pictures share, which is not always what their categories share.
