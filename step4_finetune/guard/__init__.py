"""Guardrails: checks around generation, each with measured rates.

injection checks messages, reply checks replies (length, leak of the instructions, facts, tone), and personal
data is masked in both (shared/personal.py). around puts the checks around a model. measure reports what
each catches, and its false alarms: turning away a member with a broken boiler does harm.
"""
