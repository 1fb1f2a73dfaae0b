"""Figures of the server processes at three times, and what may not grow."""

from typing import Any

KEYS = ("memory", "threads", "descriptors", "tasks", "streams", "database connections")

TOLERANCES = {"threads": 8, "descriptors": 8, "tasks": 4, "streams": 0, "database connections": 4}
"""How much more there may be at the end than at the start."""

MEMORY = (1.1, 8)
"""The memory at the end may be this many times that in the middle, plus so many MiB."""

Figures = dict[str, Any]


def growth(start: Figures, middle: Figures, end: Figures) -> list[str]:
    """Return a sentence for each figure that has grown. Each time, no client is connected."""
    found = [
        f"{key} grew from {start[key]} to {end[key]}, by more than {most}"
        for key, most in TOLERANCES.items()
        if key in start and end[key] - start[key] > most
    ]
    factor, more = MEMORY
    if end["memory"] > middle["memory"] * factor + more:
        found.append(f"memory grew from {middle['memory']:.1f} to {end['memory']:.1f} MiB")
    return found


def row(name: str, figures: Figures) -> str:
    """Return one line of figures."""
    cells = (
        f"{key} {figures[key]:.1f} MiB" if key == "memory" else f"{key} {figures[key]}"
        for key in KEYS
        if key in figures
    )
    return f"{name:>20}: {', '.join(cells)}"
