"""From files to an index: read, cut, embed, keep."""
