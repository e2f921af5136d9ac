"""Methods that make texts to pre-train on, and questions about texts."""
