"""Pretraining methods, one file each; a method is a list of parts and a step that reads like its paper."""
