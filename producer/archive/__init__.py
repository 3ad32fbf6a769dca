"""The archive: lectures that are over, as Parquet files in a folder or an S3-compatible store. Not Redis."""
