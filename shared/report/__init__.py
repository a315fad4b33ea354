"""What a run leaves behind: records, the page that shows them, the demo, and a check of the machine."""
