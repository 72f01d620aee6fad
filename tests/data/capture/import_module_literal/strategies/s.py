import importlib
from importlib import import_module

a = importlib.import_module('a')
m = import_module(name='p.m')
