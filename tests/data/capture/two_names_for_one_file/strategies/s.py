import lib.m
import strategies.lib.m
