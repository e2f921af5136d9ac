"""Methods that make mathematics with answers that can be checked."""
