"""Pretraining: plan, loop, optimiser, schedule, distributed, checkpoint, run folder."""
