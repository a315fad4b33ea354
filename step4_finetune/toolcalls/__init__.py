"""Data for the recipe `tools`: conversations with tool calls, made from tools and wordings (domains/)."""
