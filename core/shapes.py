"""The one validator of tensor shapes."""

from torch import Tensor


def check_shapes(owner: str, **arrays: tuple[Tensor | int | None, str]) -> dict[str, int]:
    """Check named tensors against patterns such as "T J 3" and return the size bound to each letter.

    A letter stands for the same size in every pattern of one call; a number for itself. A tensor that is None is skipped.

    Args:
        owner: what the tensors belong to, for the message.
        arrays: name=(tensor, pattern), or name=(size, letter) for a size that is known already.

    Raises:
        ValueError: names the tensor, its shape and the pattern with the sizes known so far.
    """
    sizes: dict[str, int] = {}
    for name, (array, pattern) in arrays.items():
        if array is None:
            continue
        if isinstance(array, int):
            sizes[pattern] = array
            continue
        if not isinstance(array, Tensor):
            raise ValueError(f"{owner}: {name} is {type(array).__name__}, expected a torch tensor ({pattern})")
        letters = pattern.split()
        shape = tuple(array.shape)
        fits = len(shape) == len(letters) and all(
            size == (int(letter) if letter.isdigit() else sizes.setdefault(letter, size))
            for letter, size in zip(letters, shape, strict=True)
        )
        if not fits:
            known = " ".join(f"{letter}={sizes[letter]}" for letter in letters if letter in sizes)
            raise ValueError(f"{owner}: {name} has shape {shape}, expected ({pattern})" + (f" with {known}" if known else ""))
    return sizes
