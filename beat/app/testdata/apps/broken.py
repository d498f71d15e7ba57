"""Does not load."""
raise RuntimeError('no luck today')
