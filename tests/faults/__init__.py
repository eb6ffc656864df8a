"""What vendors do wrong, and what an app must get all the same: scenarios, and a soak."""
