"""The runner: a camera or stream in, masks out, for as long as the car is on."""
