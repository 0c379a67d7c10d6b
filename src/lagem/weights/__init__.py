"""The weights of networks, stored with a spec of the network in files whose loading runs no code."""
