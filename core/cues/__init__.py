"""What a driving video says to a model, as pictures: the pose cue, the face cue and the location cue (DirectAnimator)."""

from ..types import Similarity as Similarity
from .extraction import extract_cues
from .location_cue import soften_grid
from .low_pass import low_pass
from .similarity import align_foreground
