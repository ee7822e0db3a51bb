"""Stand-in for `comfy_api.latest.io`: the V3 node schema, for a process without ComfyUI.

It knows the types, keywords and schema fields of ComfyUI 0.12.1, the oldest host the pack supports: a newer keyword is a TypeError here, as it is there.
Tests compare what it tells about a node with what the real one tells.
"""

import inspect
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar


class FolderType(str, Enum):  # noqa: UP042 - the host's enumerations print as "FolderType.input" too
    input = "input"
    output = "output"
    temp = "temp"


class UploadType(str, Enum):  # noqa: UP042
    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"


class NumberDisplay(str, Enum):  # noqa: UP042
    number = "number"
    slider = "slider"


class Hidden(str, Enum):  # noqa: UP042
    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"


def _present(entries: dict[str, Any]) -> dict[str, Any]:
    return {name: value.value if isinstance(value, Enum) else value for name, value in entries.items() if value is not None}


class Input:
    """An input of a node; arguments are bound to the names in `takes`, in that order, and listed in the node's info under the keys of `tells`."""

    io_type = "*"
    takes: tuple[str, ...] = ("display_name", "optional", "tooltip", "lazy", "extra_dict", "raw_link", "advanced")
    tells: ClassVar[dict[str, str]] = {
        "display_name": "display_name",
        "tooltip": "tooltip",
        "lazy": "lazy",
        "raw_link": "rawLink",
        "advanced": "advanced",
    }
    starts: ClassVar[dict[str, Any]] = {"optional": False, "multiline": False, "is_output_list": False}

    def __init__(self, id, *values, **named):
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        slots = [inspect.Parameter(name, kind, default=self.starts.get(name)) for name in self.takes]
        bound = inspect.Signature(slots).bind(*values, **named)
        bound.apply_defaults()
        self.id = id
        self.__dict__.update(bound.arguments)

    def get_io_type(self) -> str:
        """The type that links are checked against."""
        return self.io_type

    def as_dict(self) -> dict[str, Any]:
        """The options part of the input's entry in the node info."""
        entries = _present({key: getattr(self, name) for name, key in self.tells.items()})
        return entries | _present(self.extra_dict or {})


class WidgetInput(Input):
    """An input with a widget."""

    widget_type = force_input = None
    own: ClassVar[dict[str, str]] = {}

    def get_io_type(self):
        return self.widget_type or self.io_type

    def as_dict(self):
        shared = {"default": "default", "socketless": "socketless", "widget_type": "widgetType", "force_input": "forceInput"}
        return super().as_dict() | _present({key: getattr(self, name) for name, key in (shared | self.own).items()})


class Output:
    """An output of a node."""

    io_type = "*"

    def __init__(self, id=None, display_name=None, tooltip=None, is_output_list=False):
        self.id, self.display_name, self.tooltip, self.is_output_list = id, display_name or id, tooltip, is_output_list


def Custom(io_type: str) -> type:
    """The type named `io_type`, with `.Input` and `.Output`; only the name is ever compared."""
    return type(io_type, (), {"io_type": io_type, "Input": _bound(Input, io_type), "Output": _bound(Output, io_type)})


def _bound(base: type, io_type: str) -> type:
    return type(base.__name__, (base,), {"io_type": io_type})


_HEAD, _TAIL = ("display_name", "optional", "tooltip", "lazy"), ("extra_dict", "raw_link", "advanced")


def _widget(io_type: str, middle: str, **renamed: str) -> type:
    names = tuple(middle.split())
    own = {name: renamed.get(name, name) for name in names if name not in ("default", "socketless", "force_input")}
    kind = type("Input", (WidgetInput,), {"io_type": io_type, "takes": (*_HEAD, *names, *_TAIL), "own": own})
    return type(io_type, (), {"io_type": io_type, "Input": kind, "Output": _bound(Output, io_type)})


Boolean = _widget("BOOLEAN", "default label_on label_off socketless force_input")
Int = _widget("INT", "default min max step control_after_generate display_mode socketless force_input", display_mode="display")
Float = _widget("FLOAT", "default min max step round display_mode socketless force_input", display_mode="display")
String = _widget("STRING", "multiline placeholder default dynamic_prompts socketless force_input", dynamic_prompts="dynamicPrompts")


class Combo:
    """A choice from a list; `options` may be an enumeration."""

    io_type = "COMBO"

    class Input(WidgetInput):
        io_type = "COMBO"
        takes = (
            "options",
            *_HEAD,
            *("default", "control_after_generate", "upload", "image_folder", "remote", "socketless"),
            *_TAIL,
        )
        own: ClassVar[dict[str, str]] = {name: name for name in ("options", "control_after_generate", "image_folder")}

        def __init__(self, id, *values, **named):
            super().__init__(id, *values, **named)
            if isinstance(self.options, type):
                self.options = [option.value for option in self.options]

        def as_dict(self):
            upload = {self.upload.value: True} if self.upload is not None else {}
            return super().as_dict() | {"multiselect": False} | upload

    class Output(Output):
        io_type = "COMBO"

        def __init__(self, id=None, display_name=None, options=None, tooltip=None, is_output_list=False):
            super().__init__(id, display_name, tooltip, is_output_list)
            self.options = options or []


class MultiType:
    """One socket for several types; given an input instead of a name, it also shows that input's widget."""

    class Input(Input):
        io_type = "COMFY_MULTITYPED_V3"
        takes = ("types", *_HEAD, *_TAIL)

        def __init__(self, id, *values, **named):
            self.widget = id if isinstance(id, Input) else None
            super().__init__(self.widget.id if self.widget else id, *values, **named)
            for name in _HEAD if self.widget else ():
                inherited = getattr(self.widget, name)
                if inherited is not None and inherited is not False:
                    setattr(self, name, inherited)

        def get_io_type(self):
            names = ([self.widget.get_io_type()] if self.widget else []) + [kind.io_type for kind in self.types]
            return ",".join(dict.fromkeys(names))

        def as_dict(self):
            widget = self.widget.as_dict() | {"widgetType": self.widget.get_io_type()} if isinstance(self.widget, WidgetInput) else {}
            return widget | super().as_dict()


class DynamicCombo:
    """A choice that brings inputs of its own with each option; they are called "choice.input" in a workflow."""

    io_type = "COMFY_DYNAMICCOMBO_V3"

    @dataclass
    class Option:
        key: str
        inputs: list

        def as_dict(self):
            return {"key": self.key, "inputs": inputs_info(self.inputs)}

    class Input(Input):
        io_type = "COMFY_DYNAMICCOMBO_V3"
        takes = ("options", *_HEAD, "extra_dict")
        raw_link = advanced = None

        def as_dict(self):
            return super().as_dict() | {"options": [option.as_dict() for option in self.options]}


_PLAIN = {
    "AnyType": "*", "Image": "IMAGE", "Mask": "MASK", "Latent": "LATENT", "Conditioning": "CONDITIONING", "Sampler": "SAMPLER",
    "Sigmas": "SIGMAS", "Noise": "NOISE", "Guider": "GUIDER", "Clip": "CLIP", "Vae": "VAE", "Model": "MODEL", "ModelPatch": "MODEL_PATCH",
    "ClipVision": "CLIP_VISION", "ClipVisionOutput": "CLIP_VISION_OUTPUT", "Audio": "AUDIO", "Video": "VIDEO", "SVG": "SVG",
    "Mesh": "MESH", "Voxel": "VOXEL", "File3DAny": "FILE_3D", "File3DGLB": "FILE_3D_GLB", "File3DGLTF": "FILE_3D_GLTF",
    "File3DFBX": "FILE_3D_FBX", "File3DOBJ": "FILE_3D_OBJ", "File3DSTL": "FILE_3D_STL", "File3DUSDZ": "FILE_3D_USDZ",
    "Load3DCamera": "LOAD3D_CAMERA", "BBOX": "BBOX", "SEGS": "SEGS", "Tracks": "TRACKS",
}  # fmt: skip
globals().update({name: Custom(io_type) for name, io_type in _PLAIN.items()})


def inputs_info(inputs: list[Input]) -> dict[str, dict[str, tuple[str, dict]]]:
    """{"required": {name: (type, options)}, "optional": ...} in the order of declaration."""
    info: dict[str, dict] = {"required": {}}
    for one in inputs:
        info.setdefault("optional" if one.optional else "required", {})[one.id] = (one.get_io_type(), one.as_dict())
    return info


@dataclass
class Schema:
    """What a node is; the fields of ComfyUI 0.12.1."""

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Input] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    hidden: list[Hidden] = field(default_factory=list)
    description: str = ""
    search_aliases: list[str] = field(default_factory=list)
    is_input_list: bool = False
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    is_dev_only: bool = False
    is_api_node: bool = False
    price_badge: Any = None
    not_idempotent: bool = False
    enable_expand: bool = False
    accept_all_inputs: bool = False

    def finalize(self) -> None:
        """Give an output node the hidden inputs it always has, and every output an id; ValueError if two share one."""
        if self.is_output_node:
            self.hidden = [*self.hidden, *(one for one in (Hidden.prompt, Hidden.extra_pnginfo) if one not in self.hidden)]
        for slot, output in enumerate(self.outputs):
            output.id = output.id or f"_{slot}_{output.io_type}_"
        for ids in ([one.id for one in self.inputs], [one.id for one in self.outputs]):
            if len(set(ids)) != len(ids):
                raise ValueError(f"{self.node_id}: two inputs or two outputs share one of the ids {ids}")

    def info(self) -> dict[str, Any]:
        """The node's entry in ComfyUI's /object_info."""
        inputs = inputs_info(self.inputs)
        if self.hidden:
            inputs["hidden"] = {one.name: (one.value,) for one in self.hidden}
        return {
            "input": inputs,
            "input_order": {group: list(entries) for group, entries in inputs.items()},
            "is_input_list": self.is_input_list,
            "output": [one.io_type for one in self.outputs],
            "output_is_list": [one.is_output_list for one in self.outputs],
            "output_name": [one.display_name or one.io_type for one in self.outputs],
            "output_tooltips": [one.tooltip or None for one in self.outputs],
            "name": self.node_id,
            "display_name": self.display_name,
            "description": self.description,
            "category": self.category,
            "output_node": self.is_output_node,
            "deprecated": self.is_deprecated,
            "experimental": self.is_experimental,
            "dev_only": self.is_dev_only,
            "api_node": self.is_api_node,
            "search_aliases": self.search_aliases or None,
        }


class NodeOutput:
    """What `execute` returns: the outputs in order, and what the host's pages show."""

    def __init__(self, *args, ui=None, expand=None, block_execution=None):
        self.args, self.ui, self.expand, self.block_execution = args, ui, expand, block_execution

    @property
    def result(self):
        return self.args or None

    def __getitem__(self, slot):
        return self.args[slot]


@dataclass(frozen=True)
class HiddenHolder:
    """The hidden inputs of a running node."""

    unique_id: str | None = None
    prompt: dict | None = None
    extra_pnginfo: dict | None = None
    dynprompt: Any = None


class _Locked(type):
    def __setattr__(cls, name, value):
        raise AttributeError(f"cannot set {name} on {cls.__name__}: a node keeps no state between runs")


class ComfyNode:
    """Base of every node: `define_schema` and `execute`, and where wanted `validate_inputs`, `fingerprint_inputs`, `check_lazy_status`."""

    hidden: HiddenHolder | None = None

    @classmethod
    def define_schema(cls) -> Schema:
        raise NotImplementedError(f"{cls.__name__} has no define_schema")

    @classmethod
    def execute(cls, **inputs) -> NodeOutput:
        raise NotImplementedError(f"{cls.__name__} has no execute")

    @classmethod
    def GET_SCHEMA(cls) -> Schema:
        schema = cls.define_schema()
        schema.finalize()
        return schema

    @classmethod
    def GET_NODE_INFO_V1(cls) -> dict[str, Any]:
        return cls.GET_SCHEMA().info()

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict]:
        return cls.GET_SCHEMA().info()["input"]

    @classmethod
    def PREPARE_CLASS_CLONE(cls, v3_data: dict | None) -> type["ComfyNode"]:
        """A copy of the class that holds the hidden inputs of one run and cannot be changed."""
        hidden = {one.name: value for one, value in ((v3_data or {}).get("hidden_inputs") or {}).items()}
        return _Locked(cls.__name__, (cls,), {"hidden": HiddenHolder(**hidden)})
