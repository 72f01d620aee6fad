from p import *
from a import *
