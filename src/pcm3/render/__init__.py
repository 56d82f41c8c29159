"""Drawing skeletons, without tasks or torch."""
