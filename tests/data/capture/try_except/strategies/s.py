try:
    import fast_version as impl
except ImportError:
    import slow_version as impl
else:
    import extra
finally:
    import last
