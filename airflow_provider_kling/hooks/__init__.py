"""The drivers of Segmind's protocol."""
