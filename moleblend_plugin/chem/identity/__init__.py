"""When two molecules are the same: spellings, parents, scaffolds, fingerprints, exclusion lists."""
