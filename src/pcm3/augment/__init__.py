"""Views of clips, as batched tensor code: nothing here loops over samples, joints or frames.

Everything random is drawn from the `torch.Generator` that is passed in, on the clips' device.
"""
