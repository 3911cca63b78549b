"""From a picture and the box of a face to its 98 points, and how good they are."""
