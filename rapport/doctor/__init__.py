"""Data folders and clusters looked over, without touching them."""
