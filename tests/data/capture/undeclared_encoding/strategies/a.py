import b
x = 'café'
