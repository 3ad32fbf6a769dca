"""The formats of an exported lecture: each module writes one kind of file. It knows neither Redis nor paths."""
