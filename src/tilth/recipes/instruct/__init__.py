"""Methods that make instructions and answers to them."""
