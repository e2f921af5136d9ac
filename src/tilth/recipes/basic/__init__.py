"""The plainest methods."""
