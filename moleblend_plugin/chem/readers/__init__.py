"""Files of molecules as streams of rows, a file a format; ``formats`` chooses."""
