"""tilth: from a handful of seeds to training data that is proven to help a language model."""

__version__ = "0.1.0"
