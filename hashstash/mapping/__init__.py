"""Maps of functions over many inputs: what is stored is looked up at once, what is missing is computed by many workers."""
