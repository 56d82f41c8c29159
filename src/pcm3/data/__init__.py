"""From raw recordings to a `ClipStore`: readers, body choice, repair, normalisation, protocols (NumPy only)."""
