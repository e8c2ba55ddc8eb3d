"""
How a network collapses, and how one sees it
============================================

A network that is only told to treat two views of a picture alike can do so without learning anything: it gives all
pictures the same answer. Here one does, beside two that cannot, and the loss is the last place to see it.
"""

# %%
# Three losses
# ------------
#
# 2,000 photographs of clothing to learn from, 3,000 others for testing. All three networks have the same layers and see
# the same views. SimCLR and MoCo must find a picture's other view among other pictures, the *negatives*. The third one
# is a subclass with another loss: the cosine between the projections of the two views, to be as large as can be. It has
# no negatives.

import os
import textwrap
import warnings

import matplotlib.pyplot as plt
import torch
from sklearn.model_selection import train_test_split
from torch.nn import functional as F

from skrep import MoCoTransformer, RandomEncoder, SimCLRTransformer
from skrep.datasets import load_fashion
from skrep.displays import FewLabelDisplay, NeighborsDisplay
from skrep.evaluation import few_label_probe, knn_score
from skrep.exceptions import CollapseWarning


class OnlyAlike(SimCLRTransformer):
    """Pulls views of a picture together, and pushes nothing apart."""

    def objective(self, outputs, target):
        first, second = F.normalize(outputs, dim=1).chunk(2)  # the first views' projections, then the second ones'
        return -(first * second).sum(1).mean()


fashion = load_fashion()
X, X_test, y, y_test = train_test_split(
    fashion.images, fashion.target_names[fashion.target], train_size=2000, stratify=fashion.target, random_state=0
)
epochs = min(30, int(os.environ.get("SKREP_EXAMPLE_EPOCHS", 30)))
encoders = {
    "SimCLR": SimCLRTransformer(max_epochs=epochs, random_state=0).fit(X),
    "MoCo": MoCoTransformer(max_epochs=epochs, random_state=0).fit(X),
}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", CollapseWarning)
    encoders["only alike"] = OnlyAlike(max_epochs=epochs, random_state=0).fit(X)
for warning in caught:
    print(textwrap.fill(f"{warning.category.__name__}: {warning.message}", 100))

# %%
# What the loss says, and what the spread says
# --------------------------------------------
#
# ``history_`` has three numbers to look at for each epoch: the training loss; ``projection_std``, how far projections
# are spread, from 0 where all are the same to 1 where they lie in all directions alike; and ``effective_rank``, how
# many directions they use, here of 64.

styles = {"SimCLR": ("#3f90da", "o"), "MoCo": ("#ffa90e", "s"), "only alike": ("#bd1f01", "^")}
panels = {"train_loss": "training loss", "projection_std": "projection_std", "effective_rank": "effective_rank"}
fig, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for ax, (key, title) in zip(axes, panels.items(), strict=True):
    for name, (colour, marker) in styles.items():
        numbers, values = zip(*((epoch["epoch"], epoch[key]) for epoch in encoders[name].history_), strict=True)
        ax.plot(numbers, values, color=colour, marker=marker, markevery=5, markersize=5, label=name)
    ax.set(title=title, xlabel="epoch")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.3)
axes[1].axhline(0.1, color="0.4", linestyle=":")
axes[1].text(epochs, 0.12, "CollapseWarning below", color="0.4", size=8, ha="right")
axes[0].legend(frameon=False)
plt.show()
for name, encoder in encoders.items():
    last = encoder.history_[-1]
    print(f"{name:10}  " + "   ".join(f"{key} {last[key]:7.3f}" for key in panels))

# %%
# By its loss the third one learns best: after two epochs it is close to -1, the lowest that there is, and has nothing
# left to do. The other two go on finding something to learn. (Losses of different kinds do not compare; even SimCLR's
# and MoCo's differ, by the number of candidates.)
#
# The spread tells what happened. It falls below 0.1 in the second epoch, where the warning was given, while that of
# SimCLR and MoCo rises to nearly 1. The rank goes from about 45 to below 2 directions. A falling rank alone is no
# alarm: those of SimCLR and MoCo go from 50 to 23 and come back a little, as an untrained network scatters its
# projections in all directions and a trained one in those that say something.
#
# What is left to use?
# --------------------
#
# A classifier with few labels on the features, beside the pixels and the same network untrained. Each gets the same ten
# draws of labels.

untrained = RandomEncoder(like=encoders["SimCLR"]).fit(X)
judged = {"raw": None, "random": untrained, **encoders}
scores = {
    name: few_label_probe(encoder, X, y, X_test, y_test, labels=[1, 2, 5, 10, 20, 1.0])
    for name, encoder in judged.items()
}
FewLabelDisplay.from_scores(scores).figure_.set_size_inches(7, 4.2)
plt.show()

# %%

for name, encoder in judged.items():
    accuracies = " ".join(f"{accuracy:.3f}" for accuracy in scores[name].mean)
    print(f"{name:10}  probes {accuracies}   nearest neighbours {knn_score(encoder, X, y, X_test, y_test):.3f}")

# %%
# SimCLR and MoCo are ahead of the pixels at each number of labels, from ten a class on only just. The collapsed network
# is behind the pixels throughout, as the untrained one is, and its neighbours are worse than anyone's.
# But it is far from chance: these figures could be those of a method that is merely poor.
#
# Where the collapse is, and where not
# ------------------------------------
#
# How alike are two test images, to the head that the loss sees, and in the features that ``transform`` returns? Each
# image is compared with one other, at random. (``net_.module_`` is the trained network.)


def cosine_to_another(rows):
    units = F.normalize(rows, dim=1)
    return (units * units.roll(1, 0)).sum(1).mean()


for name in styles:
    features = torch.from_numpy(encoders[name].transform(X_test))  # (3000, 512)
    with torch.no_grad():
        projections = encoders[name].net_.module_.eval().projector(features)  # (3000, 64)
    print(f"{name:10}  projections {cosine_to_another(projections):6.3f}   features {cosine_to_another(features):.3f}")

# %%
# The projections of all images point the same way. The features do not: batch normalisation in front of them gives each
# the same spread, whatever the layers before it do. Behind the head's last layer there is none, and there a constant is
# the easiest way to be alike. So look for collapse in what the loss sees, as ``projection_std`` does, and not in the
# features, which by this measure are like SimCLR's.
#
# Who is beside whom?
# -------------------
#
# The first test image of each of five classes, with its nearest neighbours in the features of SimCLR and in those of
# the collapsed network.

queries = [list(y_test).index(name) for name in ("Dress", "Sandal", "Shirt", "Sneaker", "Bag")]
for name in ("SimCLR", "only alike"):
    display = NeighborsDisplay.from_estimator(encoders[name], X_test, y_test, queries=queries, n_neighbors=6)
    display.ax_.set_title(name)
plt.show()

# %%
# SimCLR's neighbours share what makes the thing: a wedge heel, a collar with buttons, a handle at the side. Those of
# the collapsed network are as bright and as large as the query, and trousers will do for a dress. Its features still
# tell something, and the cosines are as high. Only beside a network that has learned does one see what is missing.
#
# What was missing is the other pictures: with them as negatives, as in SimCLR and MoCo, one answer for all is no better
# than a guess.
