"""A small motion tokenizer with the true keys, so that everything can run where the released weights are not at hand.

It is no substitute: what it reconstructs only sways along with the motion. Its layers are random, the residual branches weak; the codebook
(encoder outputs of random smooth motion) and the last layer of the decoder (least squares on the same motion) are fitted, so that a round
trip gives a body and not noise.
"""

import torch
from torch import Tensor
from torch.nn import functional

from .motion_tokenizer import MotionTokenizer, MotionTokenizerConfig

_CLIPS, _FRAMES = 48, 48
_RIDGE = 1e-2  # of the mean square of a feature
_BRANCH = 0.1  # scale of the residual branches


@torch.no_grad()
def tiny_tokenizer(joints: int = 24, *, seed: int = 0) -> MotionTokenizer:
    """The tokenizer, in eval mode, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    tokenizer = MotionTokenizer(MotionTokenizerConfig(widths=(32, 64), code_dim=64, codebook_size=512)).eval()
    for name, parameter in tokenizer.named_parameters():
        if parameter.ndim == 1:
            parameter.fill_(1.0 if name.endswith("weight") else 0.0)
        else:
            scale = _BRANCH if ".block.5." in name else 1.0
            parameter.normal_(generator=generator).mul_(scale * parameter[0].numel() ** -0.5)
    motion = _smooth_motion(joints, generator)
    latents = tokenizer.latents(motion).flatten(0, 2)
    rows = torch.randperm(len(latents), generator=generator)[: tokenizer.config.codebook_size]
    tokenizer.vq.codebook.copy_(latents[rows])
    _fit_last_layer(tokenizer, motion)
    return tokenizer


def _smooth_motion(joints: int, generator: torch.Generator) -> Tensor:
    """Normalised clips (_CLIPS, _FRAMES, J, 3): one offset for the clip, one for each joint, and slow waves of the joints."""
    place = torch.randn(_CLIPS, 1, 1, 3, generator=generator) * 0.5
    pose = torch.randn(_CLIPS, 1, joints, 3, generator=generator) * 0.3
    size = torch.randn(_CLIPS, 2, joints, 3, generator=generator) * 0.3
    phase = torch.arange(_FRAMES)[:, None, None] * (torch.rand(_CLIPS, 1, 1, 1, generator=generator) * 0.3)
    return place + pose + size[:, :1] * phase.sin() + size[:, 1:] * phase.cos()


def _fit_last_layer(tokenizer: MotionTokenizer, motion: Tensor) -> None:
    """Solve the decoder's last convolution for the motion, by ridge regression on what reaches it."""
    seen: list[Tensor] = []
    hook = tokenizer.decoder.conv_out.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    tokenizer.decode(tokenizer.encode(motion).tokens, joints=motion.shape[2])
    hook.remove()
    features = functional.unfold(torch.cat(seen), 3, padding=1).mT.flatten(0, 1).double()  # (windows x frames x J, channels x 9)
    features = torch.cat([features, torch.ones(len(features), 1, dtype=torch.float64)], 1)
    target = motion.unflatten(1, (-1, 8)).flatten(0, 1).reshape(-1, 3).double()
    gram = features.mT @ features
    gram.diagonal().add_(_RIDGE * gram.diagonal().mean())
    solution = torch.linalg.solve(gram, features.mT @ target).float()
    conv = tokenizer.decoder.conv_out
    conv.weight.copy_(solution[:-1].T.reshape(conv.weight.shape))
    conv.bias.copy_(solution[-1])
