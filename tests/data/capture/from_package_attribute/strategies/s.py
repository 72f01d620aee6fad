from p import name
