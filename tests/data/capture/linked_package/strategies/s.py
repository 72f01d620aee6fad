from lib.m import x
