from b import a
