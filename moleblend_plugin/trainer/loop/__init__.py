"""Updates: batches, engine, optimizer, schedules, validation."""
