"""Objects and history of a label store, as exports, tables and scripts read them."""
