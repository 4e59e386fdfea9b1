"""Floor 6: adapters of the persistence port, all passing one contract."""
