"""The Django app of the contenders that send rows: its model, how rows are written, and what is counted."""
