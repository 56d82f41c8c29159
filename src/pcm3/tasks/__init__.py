"""Downstream tasks, one file each: what an encoder is worth. A task sees only ``encoder.embed(clips)``."""
