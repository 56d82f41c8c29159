"""The explorer: a page on which clips, what a model makes of them, and labels are looked at; and its server."""
