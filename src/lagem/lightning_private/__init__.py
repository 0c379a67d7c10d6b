"""The only package that uses undocumented parts of Lightning. Its docstrings say why each part is needed.

The packages modules, data_modules, callbacks and training may import this one, because all four need some of its parts.
"""
