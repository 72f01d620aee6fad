import a
import b
from importlib import import_module
import_module(str(1) and 'a')
