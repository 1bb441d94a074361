"""Loss terms as pure functions, and the objectives that weigh them."""
