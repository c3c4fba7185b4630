"""A sweep: variants of one training beside its baseline, on the same clips and seeds."""
