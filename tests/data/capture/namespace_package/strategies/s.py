import lib.a
from lib import b
from lib.sub.c import x
