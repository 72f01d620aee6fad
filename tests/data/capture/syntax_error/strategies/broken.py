import b

def f(:
