import math
import sys
