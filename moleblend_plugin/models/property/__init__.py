"""Networks for properties of molecules: on the Transformer, and the GIN baseline."""
