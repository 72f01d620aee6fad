from lib import a
