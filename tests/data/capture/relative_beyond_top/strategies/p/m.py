try:
    from ..x import y
except ImportError:
    pass
