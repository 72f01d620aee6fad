import p.bare.m
