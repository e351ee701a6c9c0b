"""What training minimises: losses, penalties, corruptions."""
