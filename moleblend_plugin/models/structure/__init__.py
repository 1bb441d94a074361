"""Structure awareness: views of a molecule, their networks and the hypergraph that joins them."""
