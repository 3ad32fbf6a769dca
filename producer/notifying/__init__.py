"""Webhooks of one ingestion: when a message is sent, signed and sent again. It does not know Redis."""
