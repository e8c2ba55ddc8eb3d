"""Pictures of what was learned, with scikit-learn's Display classes."""

from skrep.displays.atoms import AtomsDisplay
from skrep.displays.attention import AttentionDisplay
from skrep.displays.embedding import EmbeddingDisplay
from skrep.displays.few_label import FewLabelDisplay
from skrep.displays.layer_probe import LayerProbeDisplay
from skrep.displays.masked_tokens import MaskedTokensDisplay
from skrep.displays.nearest_words import NearestWordsDisplay
from skrep.displays.neighbors import NeighborsDisplay
from skrep.displays.reconstruction import ReconstructionDisplay
from skrep.displays.samples import SamplesDisplay
from skrep.displays.spectrum import SpectrumDisplay
from skrep.displays.training_curve import TrainingCurveDisplay
from skrep.displays.views import ViewsDisplay
from skrep.displays.word_map import WordMapDisplay

__all__ = [
    "AtomsDisplay",
    "AttentionDisplay",
    "EmbeddingDisplay",
    "FewLabelDisplay",
    "LayerProbeDisplay",
    "MaskedTokensDisplay",
    "NearestWordsDisplay",
    "NeighborsDisplay",
    "ReconstructionDisplay",
    "SamplesDisplay",
    "SpectrumDisplay",
    "TrainingCurveDisplay",
    "ViewsDisplay",
    "WordMapDisplay",
]
