from .n import x
