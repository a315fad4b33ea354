"""The chapters as a website: `make site` writes it to build/site, and build/site/index.html opens it.

Diagrams are drawn by Mermaid, which npm fetches at build time: the site asks no other host for anything.
"""
