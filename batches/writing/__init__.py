"""Turn what a person writes in the editor into message parts, and say what is wrong with it or may be. No tables."""
