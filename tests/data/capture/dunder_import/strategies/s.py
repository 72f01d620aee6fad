__import__('a')
__import__('p', globals(), locals(), ['m'])
__import__('p.n', fromlist=('o',))
