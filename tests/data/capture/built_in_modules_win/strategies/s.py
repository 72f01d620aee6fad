import sys, time, os, builtins
