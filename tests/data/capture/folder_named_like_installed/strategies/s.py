import numpy
from numpy import arrays
