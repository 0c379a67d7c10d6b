"""Export: autoencoders as other programs run them, and prepared data in the layouts that other trainers read."""
