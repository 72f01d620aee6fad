import lib.a, lib.b
