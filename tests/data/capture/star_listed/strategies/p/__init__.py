__all__ = ['m']
__all__ += ['n']
__all__.append('o')
__all__.extend(('q',))
