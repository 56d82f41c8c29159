"""One reader for each form in which recordings are kept, and what several of them need."""
