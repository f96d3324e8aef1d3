"""Int8 from a float file of ours: ``ranges`` watches it run, ``plan`` chooses scales, ``rewrite`` writes the new file.

Weights are symmetric per output channel, activations asymmetric per tensor, as TFLite's int8 specification has them
(ai-edge-quantizer calls the recipe ``static_wi8_ai8``).
"""
