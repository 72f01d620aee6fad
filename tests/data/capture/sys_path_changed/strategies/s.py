import sys

print(sys.path[0])
sys.path.append('elsewhere')
sys.path[:0] = ['other']
sys.path = [*sys.path]
