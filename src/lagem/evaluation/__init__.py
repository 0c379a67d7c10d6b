"""How good results are: means with intervals, tables and cards. Its rooms score reconstructions and generated sets."""
