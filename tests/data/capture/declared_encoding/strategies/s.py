# -*- coding: latin-1 -*-
# café
import a
