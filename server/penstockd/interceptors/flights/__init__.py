"""Work that several callers share, and answers that are given again."""
