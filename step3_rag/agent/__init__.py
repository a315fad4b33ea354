"""An agent that decides when to look something up, and what it achieves."""
