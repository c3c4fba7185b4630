"""From raw recordings to a store: readers, cleaning, resumable conversion on all cores, and its report."""
