"""Rules to verdict. Pure: no clock, no I/O, no logging; ``now`` is an argument."""
