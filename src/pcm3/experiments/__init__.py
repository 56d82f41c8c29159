"""The paper's tables, searches, the demo."""
