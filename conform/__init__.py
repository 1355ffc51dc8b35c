"""What this project assumes of Segmind, measured."""
