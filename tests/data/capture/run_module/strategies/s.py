import runpy

if False:
    runpy.run_module('a')
    runpy.run_module('p')
