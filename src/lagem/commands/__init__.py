"""The verbs of `lagem` other than those of training, one per file: each defines its arguments and makes one call."""
