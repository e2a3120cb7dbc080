"""The state folder: opened, judged and locked; files in it that follow no link and are closed to others."""
