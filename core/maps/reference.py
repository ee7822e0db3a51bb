"""The reference picture of a video, brought to the video's size."""

from torch import Tensor

from .resampling import resample

FITS = ("crop", "stretch")


def fit_picture(picture: Tensor, height: int, width: int, mode: str = "crop") -> Tensor:
    """Bring a picture (H, W, 3) in 0..1 to a size.

    Args:
        mode: "crop" keeps its proportions and cuts what juts out on two sides, the same on both (MTVCrafter, section 4.1); "stretch" pulls it
            to the proportions of the video, as the released scripts do.

    Returns:
        (height, width, 3) in 0..1, float32 on the CPU.

    Raises:
        ValueError: a picture with transparency or without colour, an unknown mode, or an empty size.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        told = {1: "it is grey: repeat it into three channels", 4: "it has transparency: lay it over a background first"}
        remedy = told.get(picture.shape[2] if picture.ndim == 3 else 0, "give one picture, not a batch of them")
        raise ValueError(f"the reference picture is {tuple(picture.shape)}, expected (H, W, 3); {remedy}")
    if mode not in FITS:
        raise ValueError(f"the reference picture is to be fitted by {mode!r}, expected one of {', '.join(FITS)}")
    if min(height, width) < 1:
        raise ValueError(f"the reference picture is to become {height} x {width}, expected at least one pixel each way")
    picture = picture.detach().cpu().float()
    return resample(picture, height, width, box=_middle(*picture.shape[:2], width / height) if mode == "crop" else None)


def _middle(rows: int, columns: int, proportion: float) -> tuple[float, float, float, float]:
    """The largest box (left, top, right, bottom) in the middle of a picture whose width is `proportion` times its height."""
    wide, high = min(columns, rows * proportion), min(rows, columns / proportion)
    return (columns - wide) / 2, (rows - high) / 2, (columns + wide) / 2, (rows + high) / 2
