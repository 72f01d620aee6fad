import p.q.r.m
