"""People linked over time, and tracks as motions."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ..body.editing import on_clock
from ..body.gaps import frame_ranges
from ..types import Frame, Motion
from .linking import body_sizes, link, size_cost
from .people import Detections
from .tracklets import Sightings, follow, sightings

_LEAST = 0.15  # seconds that a track shows its person: less, in a shot that is longer, is a false detection
_SPARSE = 0.2  # share of the frames from first to last that show a person: chance false detections, linked, show fewer
_SAME_BODY = 8.0  # nats: what one person's size may differ between shots


@dataclass(frozen=True, eq=False, kw_only=True)
class Track:
    """One person over time: `frames` (n) of the clip, increasing, that show the person, and `picks` (n), the number among that frame's people."""

    id: int
    frames: Tensor
    picks: Tensor

    def __post_init__(self):
        if len(self.frames) == 0 or self.frames.shape != self.picks.shape or (self.frames.diff() <= 0).any():
            raise ValueError(
                f"Track {self.id}: {len(self.frames)} frames and {len(self.picks)} picks, expected as many of both, at least 1, and increasing frames"
            )

    def __len__(self) -> int:
        return len(self.frames)


def track(detections: Detections, *, absence: float = 2.0, relink_shots: bool = False) -> tuple[Track, ...]:
    """Link the people of all frames, from any order in each frame.

    Linked by place and speed in space, overlap of boxes and size of the body; no pixels are looked at. First what is in no doubt is followed from frame to
    frame (`tracklets`), then the pieces are put together for the whole shot at once (`linking`), so that people keep their numbers when they cross,
    hide behind each other or go unseen for a while. What shows up in a few frames only (0.15 s, or under a fifth of those from first to last) is taken
    for a false detection and dropped. Every cut ends all tracks.

    Args:
        absence: longest time in seconds that a person may go unseen and remain the same.
        relink_shots: also join people of different shots, by the size of their bodies alone.

    Returns:
        Tracks in the order in which they begin, from left to right where they begin together; ids count from 0. Empty where nobody is seen.

    Raises:
        ValueError: a negative absence.
    """
    if not absence >= 0:
        raise ValueError(f"absence is {absence}, expected 0 seconds or more")
    seen = sightings(detections)
    shots = []
    for first, stop in pairwise((0, *detections.shots, len(detections.frames))):
        chains = link(seen, follow(seen, first, stop, fps=detections.fps), fps=detections.fps, absence=absence)
        least = min(max(3, round(_LEAST * detections.fps)), (stop - first + 1) // 2)
        shots.append([chain for chain in chains if len(chain) >= max(least, _SPARSE * (seen.frame[chain[-1]] - seen.frame[chain[0]] + 1))])
    chains = _cast(seen, shots) if relink_shots else [chain for shot in shots for chain in shot]
    chains.sort(key=lambda chain: (seen.frame[chain[0]], seen.torso[chain[0], 0] / abs(seen.torso[chain[0], 2] or 1)))
    return tuple(
        Track(id=number, frames=torch.from_numpy(seen.frame[chain]), picks=torch.from_numpy(seen.pick[chain]))
        for number, chain in enumerate(chains)
    )


def _cast(seen: Sightings, shots: list[list[np.ndarray]]) -> list[np.ndarray]:
    """Chains of all shots, those of bodies of the same size joined; each shot is assigned as a whole to the people known until then."""
    from scipy.optimize import linear_sum_assignment

    people: list[np.ndarray] = []
    for chains in shots:
        table = np.zeros((len(people), len(chains)))
        if table.size:
            sizes, variances = body_sizes(seen, [*people, *chains])
            known, new = (slice(None, len(people)), None), (None, slice(len(people), None))
            table = np.minimum(size_cost((sizes[known], variances[known]), (sizes[new], variances[new])) - _SAME_BODY, 0)
        pairs = {int(b): int(a) for a, b in zip(*linear_sum_assignment(table), strict=True) if table[a, b] < 0}
        for number, chain in enumerate(chains):
            if number in pairs:
                people[pairs[number]] = np.concatenate([people[pairs[number]], chain])
            else:
                people.append(chain)
    return people


def motion_of(detections: Detections, track: Track, *, whole: bool = True) -> Motion:
    """The motion of one person in camera space, with the camera.

    Frames that were placed on an even clock are read at its ticks, between the times at which they were shown (`on_clock`).
    Where the person is absent joints are missing (NaN, confidence 0), and rotations and translation, which cannot be, are held from the last frame that shows
    the person, or the first; a note says in which frames. The shape is the median over time. Rotations, translation and shape are kept only where
    every frame that shows the person has them.

    Args:
        whole: all frames of the clip; otherwise from the first to the last that shows the person.

    Raises:
        ValueError: a track of other detections.
    """
    start, stop = (0, len(detections.frames)) if whole else (int(track.frames[0]), int(track.frames[-1]) + 1)
    rows = _rows(detections, track)
    present = torch.zeros(stop - start, dtype=torch.bool)
    present[track.frames - start] = True
    joints = torch.full((len(present), *rows["joints"].shape[1:]), torch.nan)
    joints[present] = torch.where(rows["confidence"][..., None] > 0, rows["joints"], torch.nan)
    confidence = torch.zeros(joints.shape[:2])
    confidence[present] = rows["confidence"]
    held = (present.cumsum(0) - 1).clamp(min=0)  # row of the last frame that shows the person
    timed = {name: rows[name][held] for name in ("rotations", "translation") if rows[name] is not None}
    notes = detections.notes
    if not present.all():
        note = f"the person is absent in frames {frame_ranges(~present)}"
        notes = (*notes, note + (", where " + " and ".join(timed) + " are held" if timed else ""))
    cuts = [cut for cut in detections.shots if track.frames[0] < cut <= track.frames[-1]]
    if cuts:
        notes = (
            *notes,
            f"the person jumps at cuts, frames {', '.join(map(str, cuts))}: Clean Motion begins anew after a jump that nobody can make; trim the motion to one shot where it is smaller",
        )
    motion = Motion(
        joints=joints, confidence=confidence, skeleton=detections.skeleton, fps=detections.fps, frame=Frame.CAMERA, **timed,
        shape=None if rows["shape"] is None else rows["shape"].median(0).values, intrinsics=detections.intrinsics,
        image_size=detections.image_size, notes=notes,
    )  # fmt: skip
    if detections.late is None:
        return motion
    return on_clock(motion, detections.late[start:stop], cuts=[cut - start for cut in cuts])


def motions_of(detections: Detections, tracks: Sequence[Track], *, whole: bool = True) -> tuple[Motion, ...]:
    """`motion_of` each of the tracks."""
    return tuple(motion_of(detections, one, whole=whole) for one in tracks)


def boxes_of(detections: Detections, track: Track) -> Tensor:
    """(n, 4) pixels of a track."""
    return _rows(detections, track)["boxes"]


def _rows(detections: Detections, track: Track) -> dict[str, Tensor | None]:
    """What the frames of a track say of the person, (n, ...) each; None where not all of them say it."""
    if int(track.frames[-1]) >= len(detections.frames):
        raise ValueError(f"the track goes to frame {int(track.frames[-1])}, the detections have {len(detections.frames)} frames")
    pairs = [(detections.frames[frame], pick) for frame, pick in zip(track.frames.tolist(), track.picks.tolist(), strict=True)]
    if wrong := [number for number, (people, pick) in enumerate(pairs) if pick >= people.count]:
        frame = int(track.frames[wrong[0]])
        raise ValueError(f"the track is of other detections: it picks person {int(track.picks[wrong[0]])} of frame {frame}, "
                         f"which has {detections.frames[frame].count}")  # fmt: skip
    rows = {}
    for name in ("joints", "confidence", "boxes", "rotations", "translation", "shape"):
        held = [None if getattr(people, name) is None else getattr(people, name)[pick] for people, pick in pairs]
        rows[name] = None if any(one is None for one in held) else torch.stack(held).detach().cpu()
    return rows
