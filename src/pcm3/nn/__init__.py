"""The networks: encoder, projector, decoder, prompts, momentum copy, queue. Constructors take plain values."""
