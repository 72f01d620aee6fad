try:
    import a.b
except ImportError:
    pass
