"""What every run has, whichever trainer runs it: devices, flags, folder lock, record, length, launch."""
