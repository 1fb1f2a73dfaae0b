"""What it costs to send each event of a channel to everyone who has subscribed to it."""
