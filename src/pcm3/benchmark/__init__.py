"""How fast this machine is at each part of the work, beside its own matmul rate and beside other code."""
