class C:
    import a
    from b import x
