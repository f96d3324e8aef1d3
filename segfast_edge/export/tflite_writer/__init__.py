"""A TFLite writer of our own: torch.export's operators in NCHW to a flatbuffer in NHWC, nothing of TensorFlow used.

``schema`` is the file format, ``builder`` a file under construction, ``window``, ``layers`` and ``weighted`` steps
in NHWC, ``transposed`` the forms of a transposed convolution, ``trace`` and ``translate`` the way from torch, ``ops``
one function per torch operator, ``ends`` what stands before and behind the network, ``write`` all of it together.
"""
