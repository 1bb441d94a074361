"""Vector instructions for compiled loops: arithmetic of eight numbers, and products of small matrices."""
