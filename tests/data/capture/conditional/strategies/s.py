import sys

if sys.platform == 'nowhere':
    import a
elif sys.maxsize:
    import b
else:
    import c
for _ in ():
    import d
else:
    import e
while False:
    import f
match 1:
    case 2:
        import g
    case _:
        import h
