"""Methods that train what answers: rounds of making data, training on it, and a gate that takes a bad round back."""
