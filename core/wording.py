"""Words for reports."""


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 view", "3 views", "2 meshes"."""
    plural = noun if number == 1 else f"{noun}es" if noun.endswith(("s", "sh", "ch", "x")) else f"{noun}s"
    return f"{number} {plural}"
