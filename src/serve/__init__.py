"""A server of an exported model: HTTP for clips, WebSocket for streams. It needs no torch."""
