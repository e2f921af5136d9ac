"""Methods in which a weaker judge watches stronger models."""
