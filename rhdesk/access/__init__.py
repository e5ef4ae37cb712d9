"""Who may do what where. Pure decisions: nothing here reads, writes or asks anybody."""
