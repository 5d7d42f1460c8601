"""Members' data: masked before it leaves, and the texts that say so."""
