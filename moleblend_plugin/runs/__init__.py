"""What a run needs whichever trainer makes it: host, devices, flags, lock, record, launch."""
