"""What every run has, whichever trainer runs it: devices, folder lock, record, length, launch."""
