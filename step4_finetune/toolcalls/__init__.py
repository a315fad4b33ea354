"""Conversations with tool calls: tools and wordings in domains/, rows for training made from them."""
