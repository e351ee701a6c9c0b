"""Networks, their descriptions, and the model file."""
