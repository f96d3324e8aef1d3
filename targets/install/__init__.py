"""Installing a bundle on a device: verify, unpack beside, prove, switch, watch, take back. Standard library only."""
