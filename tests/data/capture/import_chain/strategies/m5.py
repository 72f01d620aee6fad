import m6
