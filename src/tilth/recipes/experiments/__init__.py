"""Experiments about the field's claims, as recipes whose rows are results."""
