"""How good results are: means, tables and cards; subpackages score reconstructions and generated sets."""
