"""Representation learning behind scikit-learn's fit and transform."""

from skrep._version import __version__
from skrep.autoencoder import AutoEncoderTransformer
from skrep.base import TorchTransformer
from skrep.contrastive import MoCoTransformer, SimCLRTransformer
from skrep.decomposition import FastICAEncoder, PCAEncoder
from skrep.energy import DeepBoltzmannEncoder, RBMEncoder
from skrep.evaluation import LinearProbe, LinearProbeRegressor
from skrep.export import export_onnx
from skrep.language import MaskedLMTransformer
from skrep.patches import PatchEncoder
from skrep.persistence import load, save
from skrep.sparse import SparseCoder
from skrep.stacks import DeepBeliefEncoder
from skrep.supervised import FineTuneClassifier, FineTuneRegressor
from skrep.untrained import RandomEncoder
from skrep.words import Word2VecTransformer

__all__ = [
    # decomposition
    "FastICAEncoder",
    "PCAEncoder",
    # sparse coding
    "PatchEncoder",
    "SparseCoder",
    # autoencoders
    "AutoEncoderTransformer",
    # Boltzmann machines
    "DeepBeliefEncoder",
    "DeepBoltzmannEncoder",
    "RBMEncoder",
    # contrastive learning
    "MoCoTransformer",
    "SimCLRTransformer",
    # text
    "MaskedLMTransformer",
    "Word2VecTransformer",
    # with labels
    "FineTuneClassifier",
    "FineTuneRegressor",
    "LinearProbe",
    "LinearProbeRegressor",
    # the untrained baseline, and the class that new methods derive from
    "RandomEncoder",
    "TorchTransformer",
    # files
    "export_onnx",
    "load",
    "save",
    "__version__",
]
