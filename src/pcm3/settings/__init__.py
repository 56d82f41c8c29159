"""Every setting, as dataclasses; nothing here imports torch."""
