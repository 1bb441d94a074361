"""Sources of molecules -> conformers -> codes. RDKit is imported in this room and nowhere else."""
