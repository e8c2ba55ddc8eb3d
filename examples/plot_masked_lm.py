"""
A language model learned in minutes: what it guesses, what it looks at, what its layers know
============================================================================================

A small BERT learns to guess hidden tokens of Wikipedia, in a few minutes on a processor. Beside it stand the same
network untrained, the vectors of words that it begins with, and TF-IDF. It learns grammar and something of the order of
words, which means of words lack, and to tell a little better what a text is about.
"""

# %%
# Training
# --------
#
# 4,712 paragraphs, 400,000 words, without labels: very little for a language model. A network of half the default's
# width, with 4000 pieces of words for 8000, is enough to look at.

import os
import re

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from skrep import MaskedLMTransformer
from skrep.datasets import load_wikipedia
from skrep.displays import AttentionDisplay, LayerProbeDisplay, MaskedTokensDisplay
from skrep.text import SubwordTokenizer

wikipedia = load_wikipedia()
texts, article = np.array(wikipedia.texts, dtype=object), wikipedia.target
epochs = min(12, int(os.environ.get("SKREP_EXAMPLE_EPOCHS", 12)))


def network(max_epochs, embeddings="word2vec"):
    return MaskedLMTransformer(
        64,
        tokenizer=SubwordTokenizer(vocab_size=4000),
        max_length=64,
        embeddings=embeddings,
        max_epochs=max_epochs,
        random_state=0,
    ).fit(texts)


networks = {
    "trained": network(epochs),
    "word vectors at the start": network(0),
    "untrained": network(0, embeddings="random"),
}
trained, untrained = networks["trained"], networks["untrained"]
for row in trained.history_:
    print(f"epoch {row['epoch']}: loss {row['train_loss']:.2f} nats")
print(f"a network that knows nothing: {np.log(len(trained.vocabulary_)):.2f} nats")

# %%
# What it guesses
# ---------------
#
# Numbered gaps, and for each the likeliest tokens with their probabilities.

text = "They [MASK] the first to do so in the [MASK] states, where he [MASK] a film at the [MASK] of the war."
MaskedTokensDisplay.from_estimator(trained, text)
plt.show()

# %%
# "United" is nearly sure. At the other gaps the kind of word is right, and no word is likely: verbs after "they" and
# "he", nouns between "the" and "of". Grammar is in every sentence, and is learned first. Facts would take far more
# text. The untrained network says the same of all gaps:

MaskedTokensDisplay.from_estimator(untrained, text)
plt.show()

# %%
# What it looks at
# ----------------
#
# A row is the token that looks, a column the one that is looked at.

sentence = "The army was defeated, but it won the war."
fig, axes = plt.subplots(1, 3, figsize=(14, 4.6), layout="constrained")
AttentionDisplay.from_estimator(untrained, sentence, layer=1, name="untrained, layer 1", ax=axes[0], vmax=0.8)
AttentionDisplay.from_estimator(trained, sentence, layer=1, name="trained, layer 1", ax=axes[1], vmax=0.8)
AttentionDisplay.from_estimator(trained, sentence, layer=2, name="trained, layer 2", ax=axes[2], vmax=0.8)
plt.show()

# %%
# Untrained, each token looks at all alike. After training, many look at the one before them in the first layer, and at
# themselves and those beside them in the second: neighbours on both sides say most about a hidden token. (Nobody told
# the network which tokens are neighbours. It has found that in their positions.)

# %%
# What its layers know
# --------------------
#
# A linear model reads two things off the mean of each layer's vectors. First: is a paragraph of a place, a person or
# science, from 20 labelled paragraphs of each class, tested on articles from which there was none? Balanced
# accuracy, 10 draws.

classes = {
    "place": "Alabama, Alaska, Alberta, Algeria, Andorra, Angola, Albania, Azerbaijan, Afghanistan, Aruba, Asia",
    "person": "Abraham Lincoln, Aristotle, Ayn Rand, Alain Connes, Allan Dwan, Andre Agassi, Aldous Huxley, "
    "Andrei Tarkovsky, Arthur Schopenhauer, Albert Sidney Johnston, Albert Einstein, Achilles",
    "science": "Albedo, Algae, Alkane, Acid, Asphalt, Alkali metal, Atomic number, Anatomy, Ampere, Algorithm, "
    "Analysis of variance, Arithmetic mean, Amphibian, Actinopterygii, Agnostida, Aardvark, Aardwolf",
}
class_of = {title: kind for kind, titles in classes.items() for title in titles.split(", ")}
kinds = np.array([class_of.get(title, "") for title in wikipedia.target_names])[article]
paragraphs, subjects, origin = (values[kinds != ""] for values in (texts, kinds, article))


def draw(n_labels, seed):
    """Labelled paragraphs of half the articles, and all paragraphs of the other half."""
    generator = np.random.default_rng(seed)
    labelled, unseen = [], np.ones(len(subjects), bool)
    for kind in classes:
        articles = np.unique(origin[subjects == kind])
        chosen = np.isin(origin, generator.permutation(articles)[: (len(articles) + 1) // 2])
        unseen &= ~chosen
        labelled.append(generator.permutation(np.flatnonzero(chosen))[:n_labels])
    return np.concatenate(labelled), np.flatnonzero(unseen)


# %%
# Second: are the words of a sentence in order, or were they shuffled? 2,000 sentences, half of them shuffled; tested on
# articles that the linear model has not seen.

generator = np.random.default_rng(0)
sentences, shuffled, of_article = [], [], []
for paragraph, number in zip(texts, article, strict=True):
    for sentence in re.findall(r"[A-Z][^.!?]+(?=[.])", paragraph):
        words = sentence.split()
        if 8 <= len(words) <= 25:
            shuffled.append(generator.random() < 0.5)
            words = generator.permutation(words) if shuffled[-1] else words
            sentences.append(" ".join(words).lower() + ".")
            of_article.append(number)
some = generator.permutation(len(sentences))[:2000]
sentences, shuffled, of_article = (np.array(values)[some] for values in (sentences, shuffled, of_article))

fig, axes = plt.subplots(1, 2, figsize=(11, 4.3), layout="constrained")
tasks = {
    "Place, person or science?": (paragraphs, subjects, [draw(20, seed) for seed in range(10)]),
    "In order, or shuffled?": (
        sentences,
        shuffled,
        list(GroupKFold(5).split(sentences, shuffled, of_article)),
    ),
}
for ax, (title, (X, y, splits)) in zip(axes, tasks.items(), strict=True):
    print(title)
    options = {"cv": splits, "scoring": "balanced_accuracy"}
    for (name, encoder), style in zip(networks.items(), ["o-", "s--", "^:"], strict=True):
        look = {"marker": style[0], "linestyle": style[1:], "name": name}
        display = LayerProbeDisplay.from_estimator(encoder, X, y, ax=ax, **look, **options)
        print(f"  {name:26}", display.scores.mean(axis=1).round(3))
    for ngrams, style in (((1, 1), "-."), ((1, 2), (0, (1, 2)))):
        tfidf = make_pipeline(TfidfVectorizer(sublinear_tf=True, ngram_range=ngrams), LogisticRegression(max_iter=1000))
        name = "TF-IDF" if ngrams == (1, 1) else "TF-IDF, pairs of words too"
        score = cross_val_score(tfidf, X, y, **options).mean()
        ax.axhline(score, color="0.4", linestyle=style, label=name)
        print(f"  {name:26} {score:.3f}")
    ax.set_title(title)
axes[0].legend()
axes[1].get_legend().remove()
plt.show()

# %%
# On the left, twenty labels of each class: the mean of the vectors that training began with (skip-gram, of the same
# pieces of words) is ahead of TF-IDF already, and training adds two or three points. On the right, a mean of words
# cannot tell anything, whatever its vectors: layer 0 guesses, and so does TF-IDF. The last layer of the trained network
# tells seven sentences of ten, as TF-IDF does where pairs of words are counted, which 1,600 labelled sentences teach
# it. Take a language model where order and grammar matter, and where there are more texts and time than here, or
# published weights; and look at simpler features first.
