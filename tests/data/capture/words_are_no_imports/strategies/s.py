"""import a"""
# import b
TEXT = "from c import d"
