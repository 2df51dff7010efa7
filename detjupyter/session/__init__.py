"""The session that the user controls: its live state, its record in the history, and its updates to the views."""
