"""
Learning from images without labels
===================================

5,000 photographs of clothing, 28 x 28 pixels, in ten classes. SimCLR learns from the pictures alone; how much better
does a classifier with few labels do on its features than on the pixels?
"""

# %%
# Look at the views first
# -----------------------
#
# SimCLR distorts each picture twice at random and learns to tell which two belong together. It is right to the extent
# that the distortions leave what matters as it is, so look at them before you spend time on training. One epoch on few
# pictures is enough to see what the network will be shown. For grey images that is by default: turned, sheared, scaled
# and shifted, some with a hole, lighter or darker, with a little noise.

import os

import matplotlib.pyplot as plt
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skrep import PCAEncoder, RandomEncoder, SimCLRTransformer
from skrep.datasets import load_fashion
from skrep.displays import EmbeddingDisplay, FewLabelDisplay, TrainingCurveDisplay, ViewsDisplay
from skrep.evaluation import compare

fashion = load_fashion()
X, y = fashion.images, fashion.target_names[fashion.target]  # (5000, 28, 28, 1), uint8

ViewsDisplay.from_estimator(SimCLRTransformer(max_epochs=1, random_state=0).fit(X[:500]), X, n_samples=6)
plt.show()

# %%
# Every shoe is still a shoe, and no two views are alike. What changes from view to view, such as size, tilt and
# brightness, the network will learn to ignore; where that matters, ``augment=`` takes other views.
#
# Train and compare
# -----------------
#
# Beside SimCLR stand the pixels as they are, the same network untrained, and PCA of the pixels. All see the same 3,750
# pictures and none of the labels. A logistic regression then gets from 1 to 20 labels a class, ten times each, or all
# of them, and is tested on the other 1,250 pictures.

epochs = min(40, int(os.environ.get("SKREP_EXAMPLE_EPOCHS", 40)))
simclr = SimCLRTransformer(max_epochs=epochs, random_state=0)
flatten = FunctionTransformer(lambda images: images.reshape(len(images), -1))
comparison = compare(
    {
        "raw": None,
        "random": RandomEncoder(like=simclr),
        "pca": make_pipeline(flatten, PCAEncoder(32)),
        "simclr": simclr,
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
# SimCLR is ahead of everything else at each number of labels. The untrained network is behind the pixels, so the lead
# is learned and does not come from the layers. PCA, whose 32 components are the directions in which pixels vary most,
# does as the pixels do while labels are few. The second line of the baselines is scored behind a StandardScaler.
#
# The lead over the pixels is largest where labels are fewest. With one label a class, which labels are drawn matters as
# much as the features do, as the width of the band shows; but all encoders get the same draws.
#
# Where are the classes?
# ----------------------
#
# The test pictures by t-SNE, from their pixels and from SimCLR's features. It shows who is beside whom; the sizes of
# the groups and the gaps between them mean nothing. The colours are the classes, which SimCLR never saw.

rows = {row.name: row for row in comparison.rows}
fig, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for ax, (name, title) in zip(axes, {"raw": "pixels", "simclr": "SimCLR"}.items(), strict=True):
    display = EmbeddingDisplay.from_features(rows[name].features, comparison.y_shown, method="tsne", ax=ax)
    ax.set_title(title)
    ax.spines[:].set_visible(False)
    if name == "raw":
        display.legend_.remove()
plt.show()

# %%
# Both spaces know trousers, bags and shoes from tops. What is worn on the upper body, shirts above all, stays mixed in
# both: two shirts differ as much as a shirt and a coat. Labels have to tell those apart.
#
# Was it trained long enough?
# ---------------------------
#
# The loss is the surprise, in nats, at which view belongs to which: a network that knows nothing would be at the
# logarithm of the number of candidates, about 5.5 in batches of 125. It still falls a little at the end; training on
# would gain little more.

curve = TrainingCurveDisplay.from_estimator(rows["simclr"].encoder, name="SimCLR")
curve.figure_.set_size_inches(6, 3.2)
plt.show()
