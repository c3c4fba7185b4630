"""The configuration files that come with LAST, installed as package data."""
