"""Where an organisation uses AI vendors, read from its files and logs; nothing of them is run."""
