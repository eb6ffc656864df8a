"""What the gateway costs, next to what people would use instead."""
