"""Several processes and nodes: meeting, heartbeat, lost peers."""
