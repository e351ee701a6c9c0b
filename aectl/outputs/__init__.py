"""What a user gets to see and keep: tables, pictures, curves and reports."""
