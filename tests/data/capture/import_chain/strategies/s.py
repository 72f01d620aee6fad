import m0
