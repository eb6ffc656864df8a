"""Of the last day's traffic: what share local could have served, for each vendor that may go."""
