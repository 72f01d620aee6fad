import importlib
from importlib import import_module as load

fetch = importlib.import_module
load('a')
fetch('b')
