def f():
    import a

    def g():
        from b import x


class C:
    def h(self):
        import c


async def k():
    async with C():
        import d
