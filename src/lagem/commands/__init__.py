"""The verbs of `lagem` other than those of training, one per file. A file defines a verb's arguments and runs it."""
