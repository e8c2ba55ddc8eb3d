"""Networks that learn an energy: low where data are, high elsewhere."""

from skrep.energy.deep_boltzmann import DeepBoltzmannEncoder
from skrep.energy.rbm import RBMEncoder

__all__ = ["DeepBoltzmannEncoder", "RBMEncoder"]
