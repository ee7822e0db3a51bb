"""What is in a motion, in words."""

from ..types import Motion
from ..wording import counted
from .measurements import bone_distances, joint_speed
from .normalisation import MotionStatistics, placement_report


def describe_motion(motion: Motion, statistics: MotionStatistics | None = None) -> str:
    """A report in lines: length, joints, confidence, speed, bone stability, what was assumed, and sigmas of a tokenizer's training data."""
    lines = [
        f"{counted(motion.frames, 'frame')} at {motion.fps:g} fps = {motion.frames / motion.fps:.2f} s",
        f"{counted(len(motion.skeleton.names), 'joint')} in {motion.frame.value} space"
        + (f", seen by a camera of {motion.image_size[1]}x{motion.image_size[0]} pixels" if motion.image_size else "")
        + (", with rotations" if motion.rotations is not None else ", positions only"),
    ]
    missing = ~motion.seen
    if missing.any():
        lines.append(f"{int(missing.sum())} joint positions are missing, in {int(missing.any(1).sum())} frames")
    lines.append(
        f"confidence {float(motion.confidence.min()):.2f} to {float(motion.confidence.max()):.2f}, mean {float(motion.confidence.mean()):.2f}"
    )
    if motion.seen.any():
        low, high = motion.joints[motion.seen].aminmax(dim=0)
        lines.append("space used: " + ", ".join(f"{axis} {a:.2f} to {b:.2f} m" for axis, a, b in zip("xyz", low, high, strict=True)))
    if motion.frames > 1 and motion.skeleton.bones:
        speed, lengths = joint_speed(motion), bone_distances(motion)
        lines.append(f"speed: mean {float(speed.nanmean()):.2f} m/s, fastest {float(speed.nan_to_num().max()):.2f} m/s")
        drift = (lengths - lengths.nanmedian(0).values).abs()
        lines.append(
            f"bone lengths vary by {float(drift.nanmean()) * 1000:.1f} mm on average, {float(drift.nan_to_num().max()) * 1000:.1f} mm at most"
        )
    lines += [f"note: {note}" for note in motion.notes]
    if statistics is not None:
        lines.append(placement_report(motion, statistics).text())
    return "\n".join(lines)
