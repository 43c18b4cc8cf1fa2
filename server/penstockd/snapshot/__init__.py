"""One look at the whole daemon: what /status serves, and the page and `penstock top` show."""
