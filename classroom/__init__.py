"""The instructors' tool: make an assignment out of a step, grade a class, return feedback."""
