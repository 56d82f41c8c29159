"""What is wrong with a store: damage, flaws of bodies, and test clips that are copies of training clips."""
