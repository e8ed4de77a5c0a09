"""The rule language as tables and values: keys, readers, the model, the editor schema."""
