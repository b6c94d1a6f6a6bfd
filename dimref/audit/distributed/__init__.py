"""A loss that W ranks compute together, held against one process on all rows: `dimref audit distributed`."""
