"""The only code that uses undocumented parts of Lightning, each part with the reason why it is needed.

The room lies below modules, data_modules, callbacks and training, because all four need some of it.
"""
