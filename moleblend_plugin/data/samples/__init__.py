"""A stored record to a sample: relations, paths and what is shown of them."""
