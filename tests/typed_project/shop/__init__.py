"""A user's project. mypy and pyright check it in their strict modes, as ``CONTRIBUTING.md`` says.

Each module uses the public names of one part of the package as users write them. ``mistakes`` has what both checkers
must refuse.
"""
