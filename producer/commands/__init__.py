"""The commands of `producer`, one file each, and what they share: arguments and the connection to Redis."""
