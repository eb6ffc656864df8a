"""Who asks: keys, what they may do, and what they have used."""
