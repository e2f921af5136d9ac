"""Methods that make preferences and principles into data."""
