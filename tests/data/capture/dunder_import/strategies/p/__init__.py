__import__('k', globals(), None, ('x',), 1)
