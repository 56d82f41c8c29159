"""Users' own recordings: one file a format, each read by the same rules of units, joints, absence and labels."""
