"""How the simulator draws pictures and films."""
