"""Taking apart the people of masks that show everybody at once, as background removal gives them."""

import numpy as np
import torch
from torch import Tensor

_PERSON_SHARE = 0.25  # of the largest component: what is smaller is a part of somebody
_OVERLAP = 0.2  # of what was a person's: a component that covers it may be that person
_BACK = 0.5  # of a person's height: somebody who was away appears again within this distance of where it was


def separate_people(masks: Tensor, *, most: int = 0) -> Tensor:
    """Masks (T, H, W) of everybody, in 0..1, as masks (P, T, H, W) of each person, from left to right where they first appear.

    Connected parts are followed from frame to frame by what they cover of the frame before; where two people touch, each pixel goes to who was nearer.
    People who touch when they first appear are one until they part.

    Args:
        most: keeps those of the largest area over all frames, this many; 0 keeps everybody.

    Raises:
        ValueError: masks that are empty in all frames.
    """
    hard = (masks > 0.5).numpy(force=True)
    if not hard.any():
        raise ValueError("the masks are empty in all frames: there is nobody")
    owners = np.full(hard.shape, -1, np.int16)
    last: list[np.ndarray] = []  # (H, W) of each person, where last seen
    for picture, owner in zip(hard, owners, strict=True):
        _assign(picture, owner, last)
        for person in range(len(last)):
            if (owner == person).any():
                last[person] = owner == person
    areas = np.array([(owners == person).sum() for person in range(len(last))])
    kept = sorted(np.argsort(-areas, kind="stable")[: most or None], key=lambda person: _first_place(owners == person))
    if len(last) == 1:
        return masks[None].float()
    return torch.stack([_soft(masks, owners, person) for person in kept])


def _assign(picture: np.ndarray, owner: np.ndarray, last: list[np.ndarray]) -> None:
    """Write into `owner` (H, W) whose each pixel of `picture` is; people who are new are added to `last`."""
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats(picture.astype(np.uint8))
    if count == 1:
        return
    areas = stats[:, cv2.CC_STAT_AREA]
    large = areas >= _PERSON_SHARE * max([areas[1:].max(), *(mask.sum() for mask in last)])
    known = [np.bincount(labels[mask], minlength=count) for mask in last]  # (people, components) pixels in common
    claims = {
        part: [person for person, common in enumerate(known) if common[part] >= _OVERLAP * min(areas[part], last[person].sum())]
        for part in range(1, count)
    }
    taken = {person for people in claims.values() for person in people}
    for part in sorted(claims, key=lambda part: -areas[part]):
        inside = labels == part
        people = claims[part] or [person for person in _near(inside, last) if person not in taken][:1]
        if not people and (large[part] or not last):
            last.append(inside)
            people = [len(last) - 1]
        taken.update(people)
        people = people or list(range(len(last)))  # a piece of somebody: of who is nearest
        owner[inside] = people[0] if len(people) == 1 else np.array(people)[_nearest([last[person] for person in people])[inside]]


def _nearest(masks: list[np.ndarray]) -> np.ndarray:
    """(H, W) number of the mask that is nearest."""
    import cv2

    return np.argmin([cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for mask in masks], 0)


def _near(inside: np.ndarray, last: list[np.ndarray]) -> list[int]:
    """People who were last seen near a component, the nearest first."""
    found = []
    for person, mask in enumerate(last):
        y, x = np.nonzero(mask)
        v, u = np.nonzero(inside)
        distance = np.hypot(x.mean() - u.mean(), y.mean() - v.mean())
        if distance <= _BACK * (y.max() - y.min() + 1):
            found.append((distance, person))
    return [person for _, person in sorted(found)]


def _first_place(masks: np.ndarray) -> float:
    """Mean column in the first frame that shows somebody."""
    return float(np.nonzero(masks[masks.any((1, 2)).argmax()])[1].mean())


def _soft(masks: Tensor, owners: np.ndarray, person: int) -> Tensor:
    """(T, H, W): the masks where they are this person's; soft borders go to who is nearest."""
    out = torch.zeros(masks.shape)
    for frame, (owner, place) in enumerate(zip(owners, out, strict=True)):
        present = [other for other in np.unique(owner) if other >= 0]
        if person in present:
            mine = np.array(present)[_nearest([owner == other for other in present])] == person if len(present) > 1 else np.array(True)
            place.copy_(masks[frame] * torch.from_numpy(mine))
    return out
