"""What was found in a film, in words."""

from collections import Counter

from .people import Detections


def describe(detections: Detections) -> str:
    """Lines for a reader: length, size, people in how many frames, shots, and every note."""
    count, (height, width) = len(detections.frames), detections.image_size
    people = ", ".join(f"{number} in {frames}" for number, frames in sorted(Counter(detections.counts).items()))
    seen = [float(frame.confidence.mean()) for frame in detections.frames if frame.count]
    lines = [
        f"{count} frames of {width}x{height} at {detections.fps:.6g} fps, {count / detections.fps:.2f} s",
        f"people: {people} frames; mean confidence {sum(seen) / max(len(seen), 1):.2f}",
        f"shots: {len(detections.shots) + 1}"
        + (f", new ones at frame {', '.join(map(str, detections.shots))}" if detections.shots else ""),
    ]
    return "\n".join([*lines, *detections.notes])
