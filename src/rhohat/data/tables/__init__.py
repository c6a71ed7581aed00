"""Tables written as text, such as CSV: how they are written, and their numbers and labels."""
