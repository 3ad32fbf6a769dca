"""`producer overlay`: a film of the recording with what a lecture has about each face. Joins feeding and reading."""
