import m7
