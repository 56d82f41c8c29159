"""Frames that come one at a time, prepared as a recording of them would be, by what has come so far alone."""
