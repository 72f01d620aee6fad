import m9
