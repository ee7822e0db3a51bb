"""The nodes: each unwraps its inputs, makes one call into `core` and wraps the result. No arithmetic and no loops over frames in here.

`extension.py` lists them, `sockets.py` names the wire types, `images.py` converts to ComfyUI's layouts, `host.py` is the only door to the host program.
"""
