"""Any run, drawn and explained rule by rule: from a trace to a page, a picture, or sentences."""
