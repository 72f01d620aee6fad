import p.q.m
