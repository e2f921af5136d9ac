"""Methods that cross from one language into another."""
