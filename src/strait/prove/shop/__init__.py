"""The shop whose orders a proof follows: two versions of its handlers, and what both do."""
