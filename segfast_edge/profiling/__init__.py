"""Measuring artifacts: on this computer, over ssh, on a fleet; and comparing what was measured."""
