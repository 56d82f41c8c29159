"""Action detection in untrimmed recordings."""
