"""Results for the user: tables, pictures, training curves and reports."""
