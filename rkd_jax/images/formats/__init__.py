"""What file formats say beside their pixels, read from the bytes."""
