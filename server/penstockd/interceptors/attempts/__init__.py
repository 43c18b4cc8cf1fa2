"""One model call as a series of attempts: which model is next, until when, and what their failures mean."""
