"""A run of some minutes, in which clients of all kinds come and go while servers are killed, paused and restarted."""
