"""What a run minimises and measures: the protocol that every task follows."""
