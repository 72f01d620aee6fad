import m8
