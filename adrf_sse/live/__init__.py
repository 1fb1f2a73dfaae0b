"""Live lists: the rows of a model that a client may see, and their changes."""
