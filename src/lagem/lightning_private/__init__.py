"""The only code that uses undocumented parts of Lightning. It says of each part why that part is needed.

The packages modules, data_modules, callbacks and training may import this one, because all four need some of its parts.
"""
