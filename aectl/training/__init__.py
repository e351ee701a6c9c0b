"""The one loop that trains, what it steps with, and how a run is put together."""
