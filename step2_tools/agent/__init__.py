"""The agent: functions as tools, the loop that runs the model's calls, and the format of the answer."""
