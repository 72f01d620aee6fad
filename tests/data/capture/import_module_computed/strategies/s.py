import importlib

for name in ('a', 'b'):
    importlib.import_module(name)
__import__(name)
