"""The command line of a run: flags, typed options, checks, plugins."""
