from p import q
