from p import m
