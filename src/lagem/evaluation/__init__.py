"""How good results are: means with intervals and tables; reconstructions and generated sets in rooms below."""
