"""The command line: `moleblend build`, `inspect`, `curves`, `import-official`."""
